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

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.drainer[0].arn}:*"]
  }
}

resource "aws_iam_role" "drainer" {
  count = local.drainer ? 1 : 0

  name                 = local.drainer_name
  description          = "Drainer of the worker pool ${var.worker_pool_id}"
  assume_role_policy   = data.aws_iam_policy_document.lambda.json
  permissions_boundary = var.iam_permissions_boundary
  tags                 = local.tags
}

resource "aws_iam_role_policy" "drainer" {
  count = local.drainer ? 1 : 0

  name   = "drainer"
  role   = aws_iam_role.drainer[0].name
  policy = data.aws_iam_policy_document.drainer[0].json
}

resource "aws_cloudwatch_log_group" "drainer" {
  count = local.drainer ? 1 : 0

  name              = "/aws/lambda/${local.drainer_name}"
  retention_in_days = var.cloudwatch_log_group_retention
  kms_key_id        = var.cloudwatch_kms_key_id
  log_group_class   = var.cloudwatch_log_group_class
  skip_destroy      = var.cloudwatch_skip_destroy
  tags              = local.tags
}

resource "aws_lambda_function" "drainer" {
  count = local.drainer ? 1 : 0

  function_name = local.drainer_name
  description   = "Drainer of the worker pool ${var.worker_pool_id}"
  role          = aws_iam_role.drainer[0].arn
  runtime       = "provided.al2023"
  handler       = "bootstrap"
  architectures = [var.drainer_configuration.architecture == "amd64" ? "x86_64" : var.drainer_configuration.architecture]
  timeout       = var.drainer_configuration.timeout
  memory_size   = var.drainer_configuration.memory_size

  filename          = var.drainer_configuration.local_package
  source_code_hash  = try(filebase64sha256(var.drainer_configuration.local_package), null)
  s3_bucket         = try(var.drainer_configuration.s3_package.bucket, null)
  s3_key            = try(var.drainer_configuration.s3_package.key, null)
  s3_object_version = try(var.drainer_configuration.s3_package.object_version, null)

  environment {
    variables = local.drainer_env
  }

  tracing_config {
    mode = var.autoscaling_tracing_mode
  }

  logging_config {
    log_format            = "JSON"
    system_log_level      = "WARN"
    application_log_level = "TRACE" # filtered by WINDLASS_LOG, before anything is written
    log_group             = aws_cloudwatch_log_group.drainer[0].name
  }

  dynamic "vpc_config" {
    for_each = local.vpc

    content {
      subnet_ids         = var.autoscaling_vpc_subnets
      security_group_ids = var.autoscaling_vpc_sg_ids
    }
  }

  tags = local.tags

  depends_on = [aws_iam_role_policy.drainer]
}

resource "aws_lambda_event_source_mapping" "hooks" {
  count = local.drainer ? 1 : 0

  event_source_arn        = aws_sqs_queue.hooks[0].arn
  function_name           = aws_lambda_function.drainer[0].arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]
}

resource "aws_cloudwatch_event_rule" "drainer" {
  count = local.drainer ? 1 : 0

  name                = local.drainer_name
  description         = "Ticks of the drainer of ${var.worker_pool_id}"
  schedule_expression = "rate(1 minute)"
  tags                = local.tags
}

resource "aws_cloudwatch_event_target" "drainer" {
  count = local.drainer ? 1 : 0

  rule  = aws_cloudwatch_event_rule.drainer[0].name
  arn   = aws_lambda_function.drainer[0].arn
  input = jsonencode({ tick = true })

  retry_policy {
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = 1
  }
}

resource "aws_lambda_permission" "drainer" {
  count = local.drainer ? 1 : 0

  statement_id  = "Tick"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.drainer[0].function_name
  principal     = "events.${local.dns_suffix}"
  source_arn    = aws_cloudwatch_event_rule.drainer[0].arn
}

resource "aws_lambda_function_event_invoke_config" "drainer" {
  count = local.drainer ? 1 : 0

  function_name                = aws_lambda_function.drainer[0].function_name
  maximum_event_age_in_seconds = 60
  maximum_retry_attempts       = 0
}
