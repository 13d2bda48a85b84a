# A self-hosted Spacelift that is reached only from inside: machines and functions in its VPC, behind a
# proxy, trusting its certificate authority.
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

resource "aws_security_group" "workers" {
  name        = "self-hosted-vpc-workers"
  description = "Workers and functions reach out, and nobody reaches them"
  vpc_id      = var.vpc_id

  egress {
    description = "HTTPS and the proxy"
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

module "worker_pool" {
  source = "../../"

  worker_pool_id  = var.worker_pool_id
  vpc_subnets     = var.subnets
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
    s3_package = { bucket = var.packages_bucket, key = "autoscaler.zip" }
  }

  drainer_configuration = {
    s3_package = { bucket = var.packages_bucket, key = "drainer.zip" }
  }

  autoscaling_vpc_subnets  = var.subnets
  autoscaling_vpc_sg_ids   = [aws_security_group.workers.id]
  autoscaling_tracing_mode = "Active"

  selfhosted_configuration = {
    s3_uri             = var.launcher_s3_uri
    http_proxy_config  = var.proxy
    https_proxy_config = var.proxy
    no_proxy_config    = "169.254.169.254,.internal"
    ca_certificates    = [file("${path.module}/ca.pem")]
  }
}

output "autoscaling_group_arn" {
  description = "ARN of the group."
  value       = module.worker_pool.autoscaling_group_arn
}
