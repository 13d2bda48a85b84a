variable "region" {
  description = "Region of the pool."
  type        = string
  default     = "eu-west-1"
}

variable "worker_pool_id" {
  description = "ULID of the Spacelift worker pool."
  type        = string
}

variable "worker_pool_config" {
  description = "The pool's token, as Spacelift gave it."
  type        = string
  sensitive   = true
}

variable "worker_pool_private_key" {
  description = "The pool's private key, PEM in base64."
  type        = string
  sensitive   = true
}
