locals {
  drainer_name = "${local.base_name}-drainer"
  hook_name    = "DrainWorkerLifecycleHook"
  drainer_env = local.drainer ? merge(
    local.functions_env,
    {
      WINDLASS_HOOK         = local.hook_name
      WINDLASS_HOOK_TIMEOUT = tostring(var.lifecycle_hook_timeout)
    },
  ) : {}
}

# Which machines are to end. A message only makes it faster: the tick sees them too.
resource "aws_sqs_queue" "hooks" {
  count = local.drainer ? 1 : 0

  name                       = "${local.base_name}-hooks"
  visibility_timeout_seconds = var.drainer_configuration.timeout + 30
  message_retention_seconds  = 172800 # no hook lasts longer
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.hooks_dead[0].arn
    maxReceiveCount     = 5
  })

  tags = local.tags
}

resource "aws_sqs_queue" "hooks_dead" {
  count = local.drainer ? 1 : 0

  name                      = "${local.base_name}-hooks-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = local.tags
}

data "aws_iam_policy_document" "drainer" {
  count = local.drainer ? 1 : 0

  source_policy_documents = [data.aws_iam_policy_document.functions[0].json]

  # Describing knows no resources.
  statement {
    sid       = "Look"
    actions   = ["autoscaling:DescribeAutoScalingGroups"]
    resources = ["*"]
  }

  statement {
    sid       = "Hook"
    actions   = ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"]
    resources = [local.group_arn]
  }

  statement {
    sid       = "Queue"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.hooks[0].arn]
  }
}

module "drainer" {
  source = "./modules/function"
  count  = local.drainer ? 1 : 0

  kind                = "drainer"
  name                = local.drainer_name
  configuration       = var.drainer_configuration
  env                 = local.drainer_env
  policy              = data.aws_iam_policy_document.drainer[0].json
  schedule_expression = "rate(1 minute)"
  tick_input          = jsonencode({ tick = true })
  common              = local.functions_common
}

resource "aws_lambda_event_source_mapping" "hooks" {
  count = local.drainer ? 1 : 0

  event_source_arn        = aws_sqs_queue.hooks[0].arn
  function_name           = module.drainer[0].function_arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]
}
