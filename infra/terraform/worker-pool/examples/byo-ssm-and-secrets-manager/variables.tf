variable "region" {
  description = "Region of the pool."
  type        = string
  default     = "eu-west-1"
}

variable "worker_pool_id" {
  description = "ULID of the Spacelift worker pool."
  type        = string
}

variable "machines_secret_name" {
  description = "A secret whose value is a JSON object with SPACELIFT_TOKEN and SPACELIFT_POOL_PRIVATE_KEY."
  type        = string
}

variable "api_key_parameter_name" {
  description = "A SecureString that holds the API key's secret."
  type        = string
}

variable "spacelift_api_key_endpoint" {
  description = "https://ACCOUNT.app.spacelift.io."
  type        = string
}

variable "spacelift_api_key_id" {
  description = "Id of the API key."
  type        = string
}

variable "packages_bucket" {
  description = "Bucket that holds autoscaler.zip and drainer.zip."
  type        = string
}
