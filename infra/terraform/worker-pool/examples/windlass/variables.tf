variable "region" {
  description = "Region of the pool."
  type        = string
  default     = "eu-west-1"
}

variable "control_plane_stack" {
  description = "Name of the control plane's stack."
  type        = string
  default     = "windlass"
}

variable "packages_bucket" {
  description = "Bucket that holds windlass, autoscaler.zip and drainer.zip."
  type        = string
}

variable "tool_url" {
  description = "A zip with terraform or tofu in it."
  type        = string
}

variable "tool_sha256" {
  description = "Its SHA-256."
  type        = string
}
