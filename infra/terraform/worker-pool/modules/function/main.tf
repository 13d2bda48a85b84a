# One of the pool's functions: its code, its role, its log, its ticks, and what else wakes it. The pool's
# module calls it for each; it is not for use by itself.
resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.common.log.retention_in_days
  kms_key_id        = var.common.log.kms_key_id
  log_group_class   = var.common.log.class
  skip_destroy      = var.common.log.skip_destroy
  tags              = var.common.tags
}

data "aws_iam_policy_document" "function" {
  source_policy_documents = [var.policy]

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }
}

data "aws_iam_policy_document" "lambda" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.${var.common.dns_suffix}"]
    }
  }
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = "${title(var.kind)} of the worker pool ${var.common.pool}"
  assume_role_policy   = data.aws_iam_policy_document.lambda.json
  permissions_boundary = var.common.permissions_boundary
  tags                 = var.common.tags
}

resource "aws_iam_role_policy" "this" {
  name   = var.kind
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.function.json
}

resource "aws_lambda_function" "this" {
  function_name = var.name
  description   = "${title(var.kind)} of the worker pool ${var.common.pool}"
  role          = aws_iam_role.this.arn
  runtime       = "provided.al2023"
  handler       = "bootstrap"
  architectures = [var.configuration.architecture == "amd64" ? "x86_64" : var.configuration.architecture]
  timeout       = var.configuration.timeout
  memory_size   = var.configuration.memory_size

  filename          = var.configuration.local_package
  source_code_hash  = try(filebase64sha256(var.configuration.local_package), null)
  s3_bucket         = try(var.configuration.s3_package.bucket, null)
  s3_key            = try(var.configuration.s3_package.key, null)
  s3_object_version = try(var.configuration.s3_package.object_version, null)

  environment {
    variables = var.env
  }

  tracing_config {
    mode = var.common.tracing_mode
  }

  logging_config {
    log_format            = "JSON"
    system_log_level      = "WARN"
    application_log_level = "TRACE" # filtered by WINDLASS_LOG, before anything is written
    log_group             = aws_cloudwatch_log_group.this.name
  }

  dynamic "vpc_config" {
    for_each = var.common.vpc_config == null ? [] : [var.common.vpc_config]

    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  tags = var.common.tags

  depends_on = [aws_iam_role_policy.this]
}

resource "aws_lambda_function_event_invoke_config" "this" {
  function_name                = aws_lambda_function.this.function_name
  maximum_event_age_in_seconds = 60
  maximum_retry_attempts       = 0
}
