# The pool itself. Machines: variables_machines.tf; secrets: variables_secrets.tf; functions:
# variables_functions.tf. Names are those of Spacelift's own module where the meaning is the same.

variable "kind" {
  description = "Whose pool it is: `spacelift` (its launcher on the machines, its API for the functions) or `windlass`."
  type        = string
  default     = "spacelift"

  validation {
    condition     = contains(["spacelift", "windlass"], var.kind)
    error_message = "kind is \"spacelift\" or \"windlass\"."
  }
}

variable "worker_pool_id" {
  description = "ULID of the Spacelift worker pool; for `kind = \"windlass\"`, the pool's name in windlass.yaml."
  type        = string

  validation {
    condition     = var.kind != "spacelift" || can(regex("^[0-9A-HJKMNP-TV-Z]{26}$", var.worker_pool_id))
    error_message = "worker_pool_id has to be the ULID of a Spacelift worker pool (26 characters, such as 01HCC6QZ932J7WDF4FTVM9QMEP)."
  }

  validation {
    condition     = var.kind != "windlass" || can(regex("^[a-z0-9][a-z0-9-]*$", var.worker_pool_id))
    error_message = "worker_pool_id has to be the name of a pool in windlass.yaml: lower case letters, digits and dashes."
  }
}

variable "base_name" {
  description = "First part of every name. If null, `windlass-` and the pool's id."
  type        = string
  default     = null
}

variable "additional_tags" {
  description = "Tags of everything that is made here. `WorkerPoolID` is added: the autoscaler may only end machines that have it."
  type        = map(string)
  default     = {}

  validation {
    condition     = !contains(keys(var.additional_tags), "WorkerPoolID")
    error_message = "additional_tags can't set WorkerPoolID: the module does, and the autoscaler's permissions depend on it."
  }
}

variable "windlass_configuration" {
  description = <<-EOT
    What a machine of a Windlass pool is told; required for, and only for, `kind = "windlass"`.
    - bucket, queue_url_prefix, secrets_prefix: outputs of the control plane's stack.
    - worker_policy_arn: output `WorkerPolicy` of that stack (pool `default`) or of infra/pool.yaml.
    - binary_s3_uri: where the `windlass` program lies, built with feature `aws` for `ami_architecture`.
    - tool_url, tool_sha256: a zip with `terraform` or `tofu` (1.10 or newer) in it. Both empty: the image has one.
    - slots: jobs side by side on one machine.
  EOT
  type = object({
    bucket            = string
    queue_url_prefix  = string
    secrets_prefix    = string
    worker_policy_arn = string
    binary_s3_uri     = string
    tool_url          = optional(string, "")
    tool_sha256       = optional(string, "")
    slots             = optional(number, 1)
  })
  default = null

  validation {
    condition     = (var.kind == "windlass") == (var.windlass_configuration != null)
    error_message = "windlass_configuration is required for kind = \"windlass\", and means nothing for a Spacelift pool."
  }

  validation {
    condition     = var.windlass_configuration == null ? true : can(regex("^s3://[^/]+/.+$", var.windlass_configuration.binary_s3_uri))
    error_message = "windlass_configuration.binary_s3_uri has to be s3://BUCKET/KEY."
  }

  validation {
    condition     = var.windlass_configuration == null ? true : (var.windlass_configuration.tool_url == "") == (var.windlass_configuration.tool_sha256 == "")
    error_message = "windlass_configuration.tool_url and tool_sha256 are given together: what is downloaded is checked."
  }

  validation {
    condition     = var.windlass_configuration == null ? true : var.windlass_configuration.slots >= 1
    error_message = "windlass_configuration.slots is at least 1."
  }
}

variable "selfhosted_configuration" {
  description = <<-EOT
    For a self-hosted Spacelift.
    - s3_uri: `s3://BUCKET/KEY` of the launcher. Empty: the launcher is downloaded from `domain_name`.
    - run_launcher_as_spacelift_user: as the user `spacelift` (UID 1983), or as root.
    - http_proxy_config, https_proxy_config, no_proxy_config: of the launcher, its containers and Docker. Of any pool.
    - ca_certificates: further root certificates, as PEM. Of any pool.
    - power_off_on_error: false keeps a machine that could not start, for you to look at.
  EOT
  type = object({
    s3_uri                         = optional(string, "")
    run_launcher_as_spacelift_user = optional(bool, true)
    http_proxy_config              = optional(string, "")
    https_proxy_config             = optional(string, "")
    no_proxy_config                = optional(string, "")
    ca_certificates                = optional(list(string), [])
    power_off_on_error             = optional(bool, true)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.selfhosted_configuration.s3_uri == "" || can(regex("^s3://[^/]+/.+$", var.selfhosted_configuration.s3_uri))
    error_message = "selfhosted_configuration.s3_uri has to be s3://BUCKET/KEY."
  }

  validation {
    condition     = var.selfhosted_configuration.s3_uri == "" || var.kind == "spacelift"
    error_message = "selfhosted_configuration.s3_uri names Spacelift's launcher; for a Windlass pool set windlass_configuration.binary_s3_uri."
  }

  validation {
    condition     = alltrue([for pem in var.selfhosted_configuration.ca_certificates : startswith(trimspace(pem), "-----BEGIN CERTIFICATE-----")])
    error_message = "selfhosted_configuration.ca_certificates are PEM texts that begin with -----BEGIN CERTIFICATE-----."
  }
}

variable "domain_name" {
  description = "Domain that Spacelift's launcher is downloaded from."
  type        = string
  default     = "spacelift.io"
}

variable "launcher" {
  description = "Which of Spacelift's launchers: `standard`, `fedramp`, or `auto` (FedRAMP's if the pool token names a FedRAMP or government host)."
  type        = string
  default     = "auto"

  validation {
    condition     = contains(["auto", "standard", "fedramp"], var.launcher)
    error_message = "launcher is \"auto\", \"standard\" or \"fedramp\"."
  }
}

variable "configuration" {
  description = "Shell lines run on the machine before the launcher or worker starts. They are readable in the launch template: no secrets. What they export wins over secrets of the same name."
  type        = string
  default     = ""
}

variable "poweroff_delay" {
  description = "Seconds between the end of the launcher and powering the machine off."
  type        = number
  default     = 15
}
