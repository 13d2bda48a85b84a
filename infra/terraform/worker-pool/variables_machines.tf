variable "ami_id" {
  description = "Image of the machines. Empty: the newest of Spacelift's worker images, or of Amazon Linux 2023 for a Windlass pool, for `ami_architecture`."
  type        = string
  default     = ""

  validation {
    condition     = var.ami_id == "" || startswith(var.ami_id, "ami-")
    error_message = "ami_id is empty or begins with ami-."
  }
}

variable "ami_architecture" {
  description = "Architecture of the newest image: `x86_64` or `arm64`. The instance types have to fit."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.ami_architecture)
    error_message = "ami_architecture is \"x86_64\" or \"arm64\"."
  }
}

variable "ec2_instance_type" {
  description = "Instance type of the machines."
  type        = string
  default     = "t3.micro"
}

variable "mixed_instances_policy" {
  description = <<-EOT
    Several instance types in one group, on demand, Spot or both. Types are alike in size: the
    autoscaler counts machines, so there are no weights.
    - instance_types: in the order of preference.
    - on_demand_base_capacity: so many machines are on demand in any case.
    - on_demand_percentage_above_base_capacity: of the rest; 0 is all Spot.
    - on_demand_allocation_strategy, spot_allocation_strategy, spot_max_price: as EC2 Auto Scaling has them.
  EOT
  type = object({
    instance_types                           = list(string)
    on_demand_base_capacity                  = optional(number, 0)
    on_demand_percentage_above_base_capacity = optional(number, 100)
    on_demand_allocation_strategy            = optional(string, "prioritized")
    spot_allocation_strategy                 = optional(string, "price-capacity-optimized")
    spot_max_price                           = optional(string)
  })
  default = null

  validation {
    condition     = var.mixed_instances_policy == null ? true : length(var.mixed_instances_policy.instance_types) > 0
    error_message = "mixed_instances_policy.instance_types names at least one type."
  }

  validation {
    condition     = var.mixed_instances_policy == null || var.instance_market_options == null
    error_message = "mixed_instances_policy and instance_market_options exclude each other: with several types, say there how many are Spot."
  }
}

variable "instance_market_options" {
  description = "Spot for the whole group: `market_type = \"spot\"` and, in `spot_options`, `max_price` (empty: the price of the day). A Spot machine may go with two minutes' notice, whatever runs on it."
  type = object({
    market_type = string
    spot_options = optional(object({
      max_price                      = optional(string)
      spot_instance_type             = optional(string, "one-time")
      instance_interruption_behavior = optional(string, "terminate")
    }), {})
  })
  default = null

  validation {
    condition     = var.instance_market_options == null ? true : var.instance_market_options.market_type == "spot"
    error_message = "instance_market_options.market_type is \"spot\"; leave instance_market_options out for machines on demand."
  }

  validation {
    condition     = var.instance_market_options == null ? true : var.instance_market_options.spot_options.spot_instance_type == "one-time"
    error_message = "instance_market_options.spot_options.spot_instance_type is \"one-time\": an Auto Scaling group takes no other."
  }
}

variable "min_size" {
  description = "Machines that are there at the least."
  type        = number
  default     = 0

  validation {
    condition     = var.min_size >= 0 && var.min_size <= var.max_size
    error_message = "min_size is at least 0 and not above max_size."
  }
}

variable "max_size" {
  description = "Machines that are there at the most."
  type        = number
  default     = 10
}

variable "vpc_subnets" {
  description = "Subnets of the machines."
  type        = list(string)

  validation {
    condition     = length(var.vpc_subnets) > 0
    error_message = "vpc_subnets names at least one subnet."
  }
}

variable "security_groups" {
  description = "Security groups of the machines. They need to reach out, and nothing has to reach them."
  type        = list(string)
}

variable "volume_size" {
  description = "GiB of the root volume."
  type        = number
  default     = 40
}

variable "volume_throughput" {
  description = "MiB/s of the root volume (gp3: 125 to 2,000). Null: 125."
  type        = number
  default     = null
}

variable "volume_iops" {
  description = "IOPS of the root volume (gp3: 3,000 or more). Null: 3,000."
  type        = number
  default     = null
}

variable "volume_encryption" {
  description = "Whether the root volume is encrypted. (Spacelift's module: false.)"
  type        = bool
  default     = true
}

variable "volume_encryption_kms_key_id" {
  description = "ARN of the key for it. Null: EBS's own. Auto Scaling's service-linked role needs a grant on a key of yours."
  type        = string
  default     = null

  validation {
    condition     = var.volume_encryption_kms_key_id == null || var.volume_encryption
    error_message = "volume_encryption_kms_key_id is set and volume_encryption is false: a volume that is not encrypted has no key."
  }
}

variable "root_device_name" {
  description = "Root device of the image."
  type        = string
  default     = "/dev/xvda"
}

variable "disable_container_credentials" {
  description = "One hop for IMDSv2, so that containers don't reach the machine's credentials. False: two."
  type        = bool
  default     = true
}

variable "enable_monitoring" {
  description = "Detailed monitoring of the machines."
  type        = bool
  default     = true
}

variable "enabled_metrics" {
  description = "Metrics of the group."
  type        = list(string)
  default = [
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupMaxSize",
    "GroupMinSize",
    "GroupPendingInstances",
    "GroupStandbyInstances",
    "GroupTerminatingInstances",
    "GroupTotalInstances",
  ]
}

variable "tag_specifications" {
  description = "Further tags of what the launch template makes (`instance`, `volume`, `network-interface`, `spot-instances-request`)."
  type = list(object({
    resource_type = string
    tags          = optional(map(string), {})
  }))
  default = []
}

variable "launch_template_version" {
  description = "Version of the launch template that the group uses. Null: the latest that this module made."
  type        = string
  default     = null
}

variable "launch_template_default_version" {
  description = "Default version of the launch template."
  type        = number
  default     = null

  validation {
    condition     = var.launch_template_default_version == null || var.launch_template_update_default_version == null
    error_message = "launch_template_default_version and launch_template_update_default_version exclude each other."
  }
}

variable "launch_template_update_default_version" {
  description = "Whether each change makes its version the default."
  type        = bool
  default     = null
}

variable "instance_refresh" {
  description = <<-EOT
    Replace machines when the launch template changes. Needs the drainer, which holds a machine
    until its run has ended. `scale_in_protected_instances = "Refresh"` is needed: the autoscaler
    protects all machines.
  EOT
  type = object({
    strategy = optional(string, "Rolling")
    triggers = optional(list(string), [])
    preferences = optional(object({
      min_healthy_percentage       = optional(number, 50)
      max_healthy_percentage       = optional(number, 100)
      instance_warmup              = optional(number, 60)
      skip_matching                = optional(bool, true)
      auto_rollback                = optional(bool, false)
      scale_in_protected_instances = optional(string, "Refresh")
    }), {})
  })
  default = null

  validation {
    condition     = var.instance_refresh == null || var.drainer_configuration != null
    error_message = "instance_refresh needs drainer_configuration: without it a machine is ended with its run."
  }

  validation {
    condition     = var.instance_refresh == null ? true : contains(["Refresh", "Wait", "Ignore"], var.instance_refresh.preferences.scale_in_protected_instances)
    error_message = "instance_refresh.preferences.scale_in_protected_instances is \"Refresh\", \"Wait\" or \"Ignore\"."
  }
}

variable "max_instance_lifetime" {
  description = "Seconds after which Auto Scaling replaces a machine (a day at the least). Null: never."
  type        = number
  default     = null

  validation {
    condition     = var.max_instance_lifetime == null ? true : var.max_instance_lifetime >= 86400
    error_message = "max_instance_lifetime is at least 86400 s, a day."
  }

  validation {
    condition     = var.max_instance_lifetime == null || var.drainer_configuration != null
    error_message = "max_instance_lifetime needs drainer_configuration: without it a machine is ended with its run."
  }
}

variable "health_check_grace_period" {
  description = "Seconds before Auto Scaling looks at a new machine's health."
  type        = number
  default     = 30
}

variable "suspended_processes" {
  description = "Processes of the group that rest. AZRebalance ends machines to even out zones, busy ones as well; the hook would hold them, but nothing is gained by it."
  type        = list(string)
  default     = ["AZRebalance"]

  validation {
    condition     = length(setintersection(var.suspended_processes, ["Launch", "Terminate"])) == 0
    error_message = "suspended_processes must leave Launch and Terminate alone: the autoscaler stands on them."
  }

  validation {
    condition     = contains(var.suspended_processes, "AZRebalance") || var.drainer_configuration != null
    error_message = "AZRebalance may only go on where drainer_configuration is set: it ends machines that are busy."
  }
}

variable "force_delete" {
  description = "Let `terraform destroy` end the group without waiting for its machines, and what runs on them."
  type        = bool
  default     = false
}

variable "create_iam_role" {
  description = "Whether the machines' role is made here."
  type        = bool
  default     = true
}

variable "custom_iam_role_name" {
  description = "Name of an existing role for the machines, with `create_iam_role = false`. What it needs: README.md."
  type        = string
  default     = ""

  validation {
    condition     = var.create_iam_role == (var.custom_iam_role_name == "")
    error_message = "Either create_iam_role is true and custom_iam_role_name empty, or create_iam_role is false and custom_iam_role_name names the role."
  }
}

variable "iam_permissions_boundary" {
  description = "ARN of the permissions boundary of every role that is made here."
  type        = string
  default     = null
}

variable "extra_iam_statements" {
  description = "Further policies of the machines' role: JSON documents, each statement with a Sid of its own."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.extra_iam_statements) == 0 || var.create_iam_role
    error_message = "extra_iam_statements are added to the role that is made here; with create_iam_role = false, add them to your own."
  }

  validation {
    condition     = alltrue([for document in var.extra_iam_statements : can(jsondecode(document))])
    error_message = "extra_iam_statements are JSON policy documents."
  }
}
