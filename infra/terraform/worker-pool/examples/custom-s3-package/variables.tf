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

variable "spacelift_api_key_endpoint" {
  description = "https://ACCOUNT.app.spacelift.io."
  type        = string
}

variable "spacelift_api_key_id" {
  description = "Id of the API key."
  type        = string
}

variable "spacelift_api_key_secret" {
  description = "Its secret."
  type        = string
  sensitive   = true
}

variable "packages_bucket" {
  description = "A versioned bucket for the zips."
  type        = string
}
