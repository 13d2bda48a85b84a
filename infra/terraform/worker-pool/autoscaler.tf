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

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.autoscaler[0].arn}:*"]
  }
}

resource "aws_iam_role" "autoscaler" {
  count = local.autoscaler ? 1 : 0

  name                 = local.autoscaler_name
  description          = "Autoscaler of the worker pool ${var.worker_pool_id}"
  assume_role_policy   = data.aws_iam_policy_document.lambda.json
  permissions_boundary = var.iam_permissions_boundary
  tags                 = local.tags
}

resource "aws_iam_role_policy" "autoscaler" {
  count = local.autoscaler ? 1 : 0

  name   = "autoscaler"
  role   = aws_iam_role.autoscaler[0].name
  policy = data.aws_iam_policy_document.autoscaler[0].json
}

resource "aws_cloudwatch_log_group" "autoscaler" {
  count = local.autoscaler ? 1 : 0

  name              = "/aws/lambda/${local.autoscaler_name}"
  retention_in_days = var.cloudwatch_log_group_retention
  kms_key_id        = var.cloudwatch_kms_key_id
  log_group_class   = var.cloudwatch_log_group_class
  skip_destroy      = var.cloudwatch_skip_destroy
  tags              = local.tags
}

resource "aws_lambda_function" "autoscaler" {
  count = local.autoscaler ? 1 : 0

  function_name = local.autoscaler_name
  description   = "Autoscaler of the worker pool ${var.worker_pool_id}"
  role          = aws_iam_role.autoscaler[0].arn
  runtime       = "provided.al2023"
  handler       = "bootstrap"
  architectures = [var.autoscaling_configuration.architecture == "amd64" ? "x86_64" : var.autoscaling_configuration.architecture]
  timeout       = var.autoscaling_configuration.timeout
  memory_size   = var.autoscaling_configuration.memory_size

  filename          = var.autoscaling_configuration.local_package
  source_code_hash  = try(filebase64sha256(var.autoscaling_configuration.local_package), null)
  s3_bucket         = try(var.autoscaling_configuration.s3_package.bucket, null)
  s3_key            = try(var.autoscaling_configuration.s3_package.key, null)
  s3_object_version = try(var.autoscaling_configuration.s3_package.object_version, null)

  environment {
    variables = local.autoscaler_env
  }

  tracing_config {
    mode = var.autoscaling_tracing_mode
  }

  logging_config {
    log_format            = "JSON"
    system_log_level      = "WARN"
    application_log_level = "TRACE" # filtered by WINDLASS_LOG, before anything is written
    log_group             = aws_cloudwatch_log_group.autoscaler[0].name
  }

  dynamic "vpc_config" {
    for_each = local.vpc

    content {
      subnet_ids         = var.autoscaling_vpc_subnets
      security_group_ids = var.autoscaling_vpc_sg_ids
    }
  }

  tags = local.tags

  depends_on = [aws_iam_role_policy.autoscaler]
}

resource "aws_cloudwatch_event_rule" "autoscaler" {
  count = local.autoscaler ? 1 : 0

  name                = local.autoscaler_name
  description         = "Ticks of the autoscaler of ${var.worker_pool_id}"
  schedule_expression = var.autoscaling_configuration.schedule_expression
  tags                = local.tags
}

resource "aws_cloudwatch_event_target" "autoscaler" {
  count = local.autoscaler ? 1 : 0

  rule = aws_cloudwatch_event_rule.autoscaler[0].name
  arn  = aws_lambda_function.autoscaler[0].arn

  # A late tick is dropped by the function: the next one knows better.
  retry_policy {
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = 1
  }
}

resource "aws_lambda_permission" "autoscaler" {
  count = local.autoscaler ? 1 : 0

  statement_id  = "Tick"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.autoscaler[0].function_name
  principal     = "events.${local.dns_suffix}"
  source_arn    = aws_cloudwatch_event_rule.autoscaler[0].arn
}

resource "aws_lambda_function_event_invoke_config" "autoscaler" {
  count = local.autoscaler ? 1 : 0

  function_name                = aws_lambda_function.autoscaler[0].function_name
  maximum_event_age_in_seconds = 60
  maximum_retry_attempts       = 0
}
