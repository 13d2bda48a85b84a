# A pool of Windlass itself, beside the control plane of infra/template.yaml.
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
  name        = "windlass-workers"
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

data "aws_cloudformation_stack" "control_plane" {
  name = var.control_plane_stack
}

module "worker_pool" {
  source = "../../"

  kind            = "windlass"
  worker_pool_id  = "default"
  vpc_subnets     = data.aws_subnets.this.ids
  security_groups = [aws_security_group.workers.id]

  windlass_configuration = {
    bucket            = data.aws_cloudformation_stack.control_plane.outputs["Bucket"]
    queue_url_prefix  = data.aws_cloudformation_stack.control_plane.outputs["QueueUrlPrefix"]
    secrets_prefix    = data.aws_cloudformation_stack.control_plane.outputs["SecretsPrefix"]
    worker_policy_arn = data.aws_cloudformation_stack.control_plane.outputs["WorkerPolicy"]
    binary_s3_uri     = "s3://${var.packages_bucket}/windlass"
    tool_url          = var.tool_url
    tool_sha256       = var.tool_sha256
    slots             = 2
  }

  autoscaling_configuration = {
    s3_package = { bucket = var.packages_bucket, key = "autoscaler.zip" }
  }

  drainer_configuration = {
    s3_package = { bucket = var.packages_bucket, key = "drainer.zip" }
  }

  ec2_instance_type = "t3.large"
  max_size          = 10
}

output "autoscaling_group_arn" {
  description = "ARN of the group."
  value       = module.worker_pool.autoscaling_group_arn
}
