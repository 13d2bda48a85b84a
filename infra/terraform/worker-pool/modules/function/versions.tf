terraform {
  # Validations of inputs look at other inputs: Terraform 1.9, OpenTofu 1.9.
  required_version = ">= 1.9.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0.0"
    }
  }
}
