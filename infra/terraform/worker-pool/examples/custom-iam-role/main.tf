# Machines in a role of your own: it has to be assumable by EC2 and to read the secret.
terraform {
  required_version = ">= 1.9.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0.0"
    }
  }
}

provider "aws" {
  region = var.region
}

data "aws_vpc" "this" {
  default = true
}

data "aws_subnets" "this" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.this.id]
  }
}

resource "aws_security_group" "workers" {
  name        = "custom-iam-role-workers"
  description = "Workers reach out, and nobody reaches them"
  vpc_id      = data.aws_vpc.this.id

  egress {
    description = "Everything outward"
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

data "aws_iam_policy_document" "ec2" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "workers" {
  name               = "${var.worker_pool_id}-workers"
  assume_role_policy = data.aws_iam_policy_document.ec2.json
}

data "aws_iam_policy_document" "secret" {
  statement {
    sid       = "Secret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [module.worker_pool.secret_arn]
  }
}

resource "aws_iam_role_policy" "secret" {
  name   = "secret"
  role   = aws_iam_role.workers.name
  policy = data.aws_iam_policy_document.secret.json
}

module "worker_pool" {
  source = "../../"

  worker_pool_id  = var.worker_pool_id
  vpc_subnets     = data.aws_subnets.this.ids
  security_groups = [aws_security_group.workers.id]

  secure_env_vars = {
    SPACELIFT_TOKEN            = var.worker_pool_config
    SPACELIFT_POOL_PRIVATE_KEY = var.worker_pool_private_key
  }

  create_iam_role      = false
  custom_iam_role_name = aws_iam_role.workers.name
}

output "autoscaling_group_arn" {
  description = "ARN of the group."
  value       = module.worker_pool.autoscaling_group_arn
}
