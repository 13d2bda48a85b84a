variable "kind" {
  description = "`autoscaler` or `drainer`."
  type        = string
}

variable "name" {
  description = "Its name, and that of its role and its rules."
  type        = string
}

variable "configuration" {
  description = "Its code and its size, as the pool's module takes them."
  type = object({
    s3_package = optional(object({
      bucket         = string
      key            = string
      object_version = optional(string)
    }))
    local_package = optional(string)
    architecture  = string
    timeout       = number
    memory_size   = number
  })
}

variable "env" {
  description = "What it is told."
  type        = map(string)
}

variable "policy" {
  description = "JSON of what it may do, but for its own log."
  type        = string
}

variable "schedule_expression" {
  description = "When it ticks."
  type        = string
}

variable "tick_input" {
  description = "What a tick says. Null: the schedule's own event."
  type        = string
  default     = null
}

variable "wakes" {
  description = "Events that wake it between two ticks."
  type        = map(object({ description = string, pattern = string, retries = number }))
  default     = {}
}

variable "common" {
  description = "What the pool's functions have in common."
  type = object({
    pool                 = string
    dns_suffix           = string
    permissions_boundary = string
    tracing_mode         = string
    vpc_config           = object({ subnet_ids = list(string), security_group_ids = list(string) })
    tags                 = map(string)
    log = object({
      retention_in_days = number
      kms_key_id        = string
      class             = string
      skip_destroy      = bool
    })
  })
}
