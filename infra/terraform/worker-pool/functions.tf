# What the two functions have in common.
locals {
  # The names are part of the functions: a test holds them against the code.
  functions_env = merge(
    {
      AUTOSCALING_GROUP_ARN = aws_autoscaling_group.this.arn
      AUTOSCALING_REGION    = local.region
      WINDLASS_BUCKET       = local.documents
      WINDLASS_LOG          = var.log_level
      WINDLASS_POOL         = var.worker_pool_id
    },
    local.api_key ? {
      SPACELIFT_API_KEY_ENDPOINT    = var.spacelift_api_credentials.api_key_endpoint
      SPACELIFT_API_KEY_ID          = var.spacelift_api_credentials.api_key_id
      SPACELIFT_API_KEY_SECRET_NAME = local.api_key_name
      SPACELIFT_WORKER_POOL_ID      = var.worker_pool_id
    } : {},
    local.api_key && length(var.selfhosted_configuration.ca_certificates) > 0 ? {
      SPACELIFT_CA_BUNDLE = join("\n", [for pem in var.selfhosted_configuration.ca_certificates : trimspace(pem)])
    } : {},
  )

  functions_common = {
    pool                 = var.worker_pool_id
    dns_suffix           = local.dns_suffix
    permissions_boundary = var.iam_permissions_boundary
    tracing_mode         = var.autoscaling_tracing_mode
    vpc_config = var.autoscaling_vpc_subnets == null ? null : {
      subnet_ids         = var.autoscaling_vpc_subnets
      security_group_ids = var.autoscaling_vpc_sg_ids
    }
    tags = local.tags
    log = {
      retention_in_days = var.cloudwatch_log_group_retention
      kms_key_id        = var.cloudwatch_kms_key_id
      class             = var.cloudwatch_log_group_class
      skip_destroy      = var.cloudwatch_skip_destroy
    }
  }

  # Keys of documents. Of a Windlass pool: its machines' records, a word to a run that is to stop, and
  # what waits for workers.
  documents_written = concat(
    ["fleet/${var.worker_pool_id}/*", "quarantine/*"],
    local.spacelift ? [] : ["pools/${var.worker_pool_id}/instances/*", "jobs/*/control"],
  )
  documents_read = local.spacelift ? [] : ["summaries/*"]

  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
  vpc_actions = [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
  ]
}

data "aws_iam_policy_document" "functions" {
  count = local.functions ? 1 : 0

  statement {
    sid       = "Documents"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = [for key in local.documents_written : "${local.documents_arn}/${key}"]
  }

  dynamic "statement" {
    for_each = length(local.documents_read) > 0 ? [1] : []

    content {
      sid       = "Demand"
      actions   = ["s3:GetObject"]
      resources = [for key in local.documents_read : "${local.documents_arn}/${key}"]
    }
  }

  # Without it, a document that is not there would look like one that may not be seen.
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [local.documents_arn]
  }

  dynamic "statement" {
    for_each = local.api_key ? [1] : []

    content {
      sid       = "ApiKey"
      actions   = ["ssm:GetParameter"]
      resources = [local.api_key_arn]
    }
  }

  dynamic "statement" {
    for_each = local.api_key && var.ssm_kms_key_id != null ? [1] : []

    content {
      sid       = "ApiKeyKey"
      actions   = ["kms:Decrypt"]
      resources = [var.ssm_kms_key_id]
    }
  }

  dynamic "statement" {
    for_each = local.tracing ? [1] : []

    content {
      sid       = "Tracing"
      actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
      resources = ["*"]
    }
  }

  dynamic "statement" {
    for_each = local.vpc

    content {
      sid       = "Vpc"
      actions   = local.vpc_actions
      resources = ["*"]
    }
  }
}
