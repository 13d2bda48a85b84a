variable "autoscaling_configuration" {
  description = <<-EOT
    The autoscaler. Null: none; the group is as large as you set it.
    - s3_package (bucket, key, object_version) or local_package (path of a zip): its code; one of them.
    - architecture: `x86_64` (or `amd64`) or `arm64`.
    - schedule_expression: how often it looks; at least every four minutes, for after five without
      a look the next one only observes.
    - max_create, max_terminate: machines more, or fewer, in one tick; 0: never.
    - scale_down_delay: minutes without a run before a machine may go.
    - scale_down_delay_use_idle_time: false counts them from the worker's registration, as Spacelift does.
    - target_utilization_percent: of a hundred slots so many are meant to be busy.
    - policy: a JSON object of further settings (docs/fleet.md); what it says goes before the others.
    - timeout, memory_size: of the function, in s and MiB.
  EOT
  type = object({
    s3_package = optional(object({
      bucket         = string
      key            = string
      object_version = optional(string)
    }))
    local_package                  = optional(string)
    architecture                   = optional(string, "x86_64")
    schedule_expression            = optional(string, "rate(1 minute)")
    max_create                     = optional(number, 10)
    max_terminate                  = optional(number, 5)
    scale_down_delay               = optional(number, 10)
    scale_down_delay_use_idle_time = optional(bool, true)
    target_utilization_percent     = optional(number, 100)
    policy                         = optional(string)
    timeout                        = optional(number, 60)
    memory_size                    = optional(number, 256)
  })
  default = null

  validation {
    condition     = var.autoscaling_configuration == null ? true : (var.autoscaling_configuration.s3_package == null) != (var.autoscaling_configuration.local_package == null)
    error_message = "The autoscaler's code comes either from autoscaling_configuration.s3_package or from local_package: give one of them."
  }

  validation {
    condition     = var.autoscaling_configuration == null ? true : contains(["x86_64", "amd64", "arm64"], var.autoscaling_configuration.architecture)
    error_message = "autoscaling_configuration.architecture is \"x86_64\", \"amd64\" or \"arm64\"."
  }

  validation {
    condition     = var.autoscaling_configuration == null ? true : var.autoscaling_configuration.target_utilization_percent >= 1 && var.autoscaling_configuration.target_utilization_percent <= 100
    error_message = "autoscaling_configuration.target_utilization_percent is 1 to 100."
  }

  validation {
    condition     = try(var.autoscaling_configuration.policy, null) == null ? true : can(keys(jsondecode(var.autoscaling_configuration.policy)))
    error_message = "autoscaling_configuration.policy is a JSON object, such as jsonencode({ warm = { always = 1 } })."
  }

  validation {
    condition     = var.autoscaling_configuration == null ? true : var.autoscaling_configuration.max_create >= 0 && var.autoscaling_configuration.max_terminate >= 0 && var.autoscaling_configuration.scale_down_delay >= 0
    error_message = "autoscaling_configuration: max_create, max_terminate and scale_down_delay are at least 0."
  }

  validation {
    condition     = var.autoscaling_configuration == null ? true : can(regex("^(rate\\((1 minute|[2-4] minutes)\\)|cron\\(.+\\))$", var.autoscaling_configuration.schedule_expression))
    error_message = "autoscaling_configuration.schedule_expression is \"rate(1 minute)\" to \"rate(4 minutes)\", or a cron(...) that is as frequent: after five minutes without a look the next one only observes, so a slower one would never act."
  }
}

variable "drainer_configuration" {
  description = <<-EOT
    The drainer: holds every machine that is to end, for whatever reason, until its run has ended.
    Null: no lifecycle hook, and no drainer.
    - s3_package or local_package, architecture, timeout, memory_size: as for the autoscaler.
  EOT
  type = object({
    s3_package = optional(object({
      bucket         = string
      key            = string
      object_version = optional(string)
    }))
    local_package = optional(string)
    architecture  = optional(string, "x86_64")
    timeout       = optional(number, 60)
    memory_size   = optional(number, 256)
  })
  default = null

  validation {
    condition     = var.drainer_configuration == null ? true : (var.drainer_configuration.s3_package == null) != (var.drainer_configuration.local_package == null)
    error_message = "The drainer's code comes either from drainer_configuration.s3_package or from local_package: give one of them."
  }

  validation {
    condition     = var.drainer_configuration == null ? true : contains(["x86_64", "amd64", "arm64"], var.drainer_configuration.architecture)
    error_message = "drainer_configuration.architecture is \"x86_64\", \"amd64\" or \"arm64\"."
  }
}

variable "lifecycle_hook_timeout" {
  description = "Seconds that a hook holds a machine without a heartbeat. The drainer beats at a third of it, so runs may take longer: AWS's bound is a hundred timeouts, or 48 hours."
  type        = number
  default     = 300

  validation {
    condition     = var.lifecycle_hook_timeout >= 180 && var.lifecycle_hook_timeout <= 7200
    error_message = "lifecycle_hook_timeout is 180 to 7200 s: a shorter one leaves no room for a heartbeat beside a minute's tick."
  }
}

variable "documents_bucket" {
  description = "Bucket for what the functions remember from tick to tick. Null: one is made here (Spacelift), or the control plane's is used (Windlass)."
  type        = string
  default     = null

  validation {
    condition     = var.documents_bucket == null || var.kind == "spacelift"
    error_message = "documents_bucket is for Spacelift pools; a Windlass pool keeps its documents in windlass_configuration.bucket."
  }
}

variable "autoscaling_vpc_subnets" {
  description = "Subnets of the functions; they need a way to AWS and to Spacelift. Null: no VPC."
  type        = list(string)
  default     = null

  validation {
    condition     = (var.autoscaling_vpc_subnets == null) == (var.autoscaling_vpc_sg_ids == null)
    error_message = "autoscaling_vpc_subnets and autoscaling_vpc_sg_ids are given together, or neither."
  }
}

variable "autoscaling_vpc_sg_ids" {
  description = "Security groups of the functions."
  type        = list(string)
  default     = null
}

variable "autoscaling_tracing_mode" {
  description = "X-Ray for the functions: `Active` or `PassThrough`."
  type        = string
  default     = "PassThrough"

  validation {
    condition     = contains(["Active", "PassThrough"], var.autoscaling_tracing_mode)
    error_message = "autoscaling_tracing_mode is \"Active\" or \"PassThrough\"."
  }
}

variable "log_level" {
  description = "What the functions log: error, warn, info, debug, or a level per module as tracing has it."
  type        = string
  default     = "info"
}

variable "cloudwatch_log_group_retention" {
  description = "Days that the functions' logs are kept."
  type        = number
  default     = 60
}

variable "cloudwatch_kms_key_id" {
  description = "ARN of the key of the functions' logs. Null: CloudWatch's own."
  type        = string
  default     = null
}

variable "cloudwatch_log_group_class" {
  description = "Class of the log groups. Null: STANDARD, which the metrics in the logs need."
  type        = string
  default     = null
}

variable "cloudwatch_skip_destroy" {
  description = "Keep the logs when the module is destroyed."
  type        = bool
  default     = false
}

variable "alarm_topic_arn" {
  description = "SNS topic that hears of alarms. Null: they only show in CloudWatch."
  type        = string
  default     = null
}
