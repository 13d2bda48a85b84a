locals {
  # Spacelift publishes its worker images from these accounts; Amazon its own from `amazon`.
  # https://github.com/spacelift-io/spacelift-worker-image
  ami_owner = local.spacelift ? (local.partition == "aws-us-gov" ? "092348861888" : "643313122712") : "amazon"
  ami_name  = local.spacelift ? "spacelift-*-${var.ami_architecture}" : "al2023-ami-2023.*-${var.ami_architecture}"
}

data "aws_ami" "newest" {
  count = var.ami_id == "" ? 1 : 0

  most_recent = true
  owners      = [local.ami_owner]

  filter {
    name   = "name"
    values = [local.ami_name]
  }

  filter {
    name   = "architecture"
    values = [var.ami_architecture]
  }

  filter {
    name   = "root-device-type"
    values = ["ebs"]
  }

  filter {
    name   = "virtualization-type"
    values = ["hvm"]
  }
}
