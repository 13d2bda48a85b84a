locals {
  # Whether there is something is known when planning, whatever its name will be.
  secret_arn    = var.byo_secretsmanager != null ? var.byo_secretsmanager.arn : one(aws_secretsmanager_secret.this[*].arn)
  api_key       = local.functions && local.spacelift
  own_api_key   = local.api_key && var.byo_ssm == null
  api_key_name  = var.byo_ssm != null ? var.byo_ssm.name : one(aws_ssm_parameter.api_key[*].name)
  api_key_arn   = var.byo_ssm != null ? var.byo_ssm.arn : one(aws_ssm_parameter.api_key[*].arn)
  documents     = local.spacelift ? (local.own_documents ? one(aws_s3_bucket.documents[*].bucket) : var.documents_bucket) : var.windlass_configuration.bucket
  documents_arn = local.functions ? "arn:${local.partition}:s3:::${local.documents}" : null
}

resource "aws_secretsmanager_secret" "this" {
  count = length(local.secure_names) > 0 ? 1 : 0

  name_prefix = "${local.base_name}-"
  description = "Variables of the machines of the worker pool ${var.worker_pool_id}"
  kms_key_id  = var.secure_env_vars_kms_key_id
  tags        = local.tags
}

resource "aws_secretsmanager_secret_version" "this" {
  count = length(local.secure_names) > 0 ? 1 : 0

  secret_id     = aws_secretsmanager_secret.this[0].id
  secret_string = jsonencode(var.secure_env_vars)
}

resource "aws_ssm_parameter" "api_key" {
  count = local.own_api_key ? 1 : 0

  name        = "/${local.base_name}/spacelift-api-key-secret"
  description = "Secret of the API key of the worker pool ${var.worker_pool_id}'s functions"
  type        = "SecureString"
  key_id      = var.ssm_kms_key_id
  value       = var.spacelift_api_credentials.api_key_secret
  tags        = local.tags
}
