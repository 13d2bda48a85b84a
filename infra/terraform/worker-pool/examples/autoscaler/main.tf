# Both functions, from zips that lie in this folder (`infra/package --arm64` makes them, in target/packages).
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
  name        = "autoscaler-workers"
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

module "worker_pool" {
  source = "../../"

  worker_pool_id  = var.worker_pool_id
  vpc_subnets     = data.aws_subnets.this.ids
  security_groups = [aws_security_group.workers.id]

  secure_env_vars = {
    SPACELIFT_TOKEN            = var.worker_pool_config
    SPACELIFT_POOL_PRIVATE_KEY = var.worker_pool_private_key
  }

  spacelift_api_credentials = {
    api_key_endpoint = var.spacelift_api_key_endpoint
    api_key_id       = var.spacelift_api_key_id
    api_key_secret   = var.spacelift_api_key_secret
  }

  autoscaling_configuration = {
    local_package              = "${path.module}/autoscaler.zip"
    architecture               = "arm64"
    max_create                 = 5
    max_terminate              = 5
    scale_down_delay           = 5
    target_utilization_percent = 80
  }

  drainer_configuration = {
    local_package = "${path.module}/drainer.zip"
    architecture  = "arm64"
  }

  ec2_instance_type = "t3.medium"
  max_size          = 30
}

output "autoscaling_group_arn" {
  description = "ARN of the group."
  value       = module.worker_pool.autoscaling_group_arn
}
