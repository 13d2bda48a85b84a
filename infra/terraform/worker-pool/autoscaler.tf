locals {
  autoscaler_name = "${local.base_name}-autoscaler"
  autoscaler_env = local.autoscaler ? merge(
    local.functions_env,
    {
      AUTOSCALING_MAX_CREATE                     = tostring(var.autoscaling_configuration.max_create)
      AUTOSCALING_MAX_KILL                       = tostring(var.autoscaling_configuration.max_terminate)
      AUTOSCALING_SCALE_DOWN_DELAY               = tostring(var.autoscaling_configuration.scale_down_delay)
      AUTOSCALING_SCALE_DOWN_DELAY_USE_IDLE_TIME = tostring(var.autoscaling_configuration.scale_down_delay_use_idle_time)
      AUTOSCALING_TARGET_UTILIZATION_PERCENT     = tostring(var.autoscaling_configuration.target_utilization_percent)
    },
    var.autoscaling_configuration.policy == null ? {} : { WINDLASS_FLEET_POLICY = var.autoscaling_configuration.policy },
    local.spacelift ? {} : { WINDLASS_SLOTS = tostring(var.windlass_configuration.slots) },
  ) : {}
}

data "aws_iam_policy_document" "autoscaler" {
  count = local.autoscaler ? 1 : 0

  source_policy_documents = [data.aws_iam_policy_document.functions[0].json]

  # Describing knows no resources.
  statement {
    sid = "Look"
    actions = [
      "autoscaling:DescribeAutoScalingGroups",
      "autoscaling:DescribeScalingActivities",
      "ec2:DescribeInstances",
    ]
    resources = ["*"]
  }

  statement {
    sid = "Group"
    actions = [
      "autoscaling:SetDesiredCapacity",
      "autoscaling:SetInstanceProtection",
      "autoscaling:TerminateInstanceInAutoScalingGroup",
    ]
    resources = [local.group_arn]
  }

  # Machines of this pool that no group knows any more.
  statement {
    sid       = "Leaks"
    actions   = ["ec2:TerminateInstances"]
    resources = ["arn:${local.partition}:ec2:${local.region}:${local.account}:instance/*"]

    condition {
      test     = "StringEquals"
      variable = "ec2:ResourceTag/WorkerPoolID"
      values   = [var.worker_pool_id]
    }
  }
}

module "autoscaler" {
  source = "./modules/function"
  count  = local.autoscaler ? 1 : 0

  kind                = "autoscaler"
  name                = local.autoscaler_name
  configuration       = var.autoscaling_configuration
  env                 = local.autoscaler_env
  policy              = data.aws_iam_policy_document.autoscaler[0].json
  schedule_expression = var.autoscaling_configuration.schedule_expression
  wakes               = local.wakes
  common              = local.functions_common
}
