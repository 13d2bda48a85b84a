# Secrets that exist already, and are in nobody's state: the machines' in Secrets Manager, the API key's in
# the Parameter Store. With an instance refresh that waits for runs.
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
  name        = "byo-workers"
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

data "aws_secretsmanager_secret" "machines" {
  name = var.machines_secret_name
}

data "aws_ssm_parameter" "api_key" {
  name            = var.api_key_parameter_name
  with_decryption = false
}

module "worker_pool" {
  source = "../../"

  worker_pool_id  = var.worker_pool_id
  vpc_subnets     = data.aws_subnets.this.ids
  security_groups = [aws_security_group.workers.id]

  byo_secretsmanager = {
    name = data.aws_secretsmanager_secret.machines.name
    arn  = data.aws_secretsmanager_secret.machines.arn
    keys = ["SPACELIFT_TOKEN", "SPACELIFT_POOL_PRIVATE_KEY"]
  }

  byo_ssm = {
    name = data.aws_ssm_parameter.api_key.name
    arn  = data.aws_ssm_parameter.api_key.arn
  }

  spacelift_api_credentials = {
    api_key_endpoint = var.spacelift_api_key_endpoint
    api_key_id       = var.spacelift_api_key_id
  }

  autoscaling_configuration = {
    s3_package = { bucket = var.packages_bucket, key = "autoscaler.zip" }
  }

  drainer_configuration = {
    s3_package = { bucket = var.packages_bucket, key = "drainer.zip" }
  }

  lifecycle_hook_timeout = 600

  instance_refresh = {
    preferences = {
      min_healthy_percentage = 50
      max_healthy_percentage = 100
    }
  }
}

output "autoscaling_group_arn" {
  description = "ARN of the group."
  value       = module.worker_pool.autoscaling_group_arn
}
