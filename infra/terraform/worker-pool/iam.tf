# Roles of the machines and of the group's hook. Those of the functions stand with them.
data "aws_iam_policy_document" "ec2" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.${local.dns_suffix}"]
    }
  }
}

resource "aws_iam_role" "this" {
  count = var.create_iam_role ? 1 : 0

  name                 = local.base_name
  description          = "Machines of the worker pool ${var.worker_pool_id}"
  assume_role_policy   = data.aws_iam_policy_document.ec2.json
  permissions_boundary = var.iam_permissions_boundary
  tags                 = local.tags
}

data "aws_iam_role" "custom" {
  count = var.create_iam_role ? 0 : 1

  name = var.custom_iam_role_name
}

resource "aws_iam_instance_profile" "this" {
  name = local.base_name
  role = var.create_iam_role ? aws_iam_role.this[0].name : data.aws_iam_role.custom[0].name
  tags = local.tags
}

data "aws_iam_policy_document" "machine_secret" {
  count = local.has_secret ? 1 : 0

  statement {
    sid       = "Secret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [local.secret_arn]
  }

  dynamic "statement" {
    for_each = var.secure_env_vars_kms_key_id == null ? [] : [var.secure_env_vars_kms_key_id]

    content {
      sid       = "SecretKey"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role_policy" "machine_secret" {
  count = var.create_iam_role && local.has_secret ? 1 : 0

  name   = "secret"
  role   = aws_iam_role.this[0].name
  policy = data.aws_iam_policy_document.machine_secret[0].json
}

data "aws_iam_policy_document" "machine_launcher" {
  count = local.launcher_object == "" ? 0 : 1

  statement {
    sid       = "Launcher"
    actions   = ["s3:GetObject"]
    resources = ["arn:${local.partition}:s3:::${local.launcher_object}"]
  }
}

resource "aws_iam_role_policy" "machine_launcher" {
  count = var.create_iam_role && local.launcher_object != "" ? 1 : 0

  name   = "launcher"
  role   = aws_iam_role.this[0].name
  policy = data.aws_iam_policy_document.machine_launcher[0].json
}

data "aws_iam_policy_document" "machine_extra" {
  count = length(var.extra_iam_statements) > 0 ? 1 : 0

  source_policy_documents = var.extra_iam_statements
}

resource "aws_iam_role_policy" "machine_extra" {
  count = length(var.extra_iam_statements) > 0 ? 1 : 0

  name   = "extra"
  role   = aws_iam_role.this[0].name
  policy = data.aws_iam_policy_document.machine_extra[0].json
}

# What a worker of Windlass may do is said once, beside the control plane.
resource "aws_iam_role_policy_attachment" "machine_windlass" {
  count = var.create_iam_role && !local.spacelift ? 1 : 0

  role       = aws_iam_role.this[0].name
  policy_arn = var.windlass_configuration.worker_policy_arn
}

# Auto Scaling sends the hook's message in this role.
data "aws_iam_policy_document" "autoscaling" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["autoscaling.${local.dns_suffix}"]
    }
  }
}

resource "aws_iam_role" "hook" {
  count = local.drainer ? 1 : 0

  name                 = "${local.base_name}-hook"
  description          = "Auto Scaling tells the drainer of ${var.worker_pool_id} which machines are to end"
  assume_role_policy   = data.aws_iam_policy_document.autoscaling.json
  permissions_boundary = var.iam_permissions_boundary
  tags                 = local.tags
}

data "aws_iam_policy_document" "hook" {
  count = local.drainer ? 1 : 0

  statement {
    sid       = "Hooks"
    actions   = ["sqs:SendMessage", "sqs:GetQueueUrl"]
    resources = [aws_sqs_queue.hooks[0].arn]
  }
}

resource "aws_iam_role_policy" "hook" {
  count = local.drainer ? 1 : 0

  name   = "hooks"
  role   = aws_iam_role.hook[0].name
  policy = data.aws_iam_policy_document.hook[0].json
}
