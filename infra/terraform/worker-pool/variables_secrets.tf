variable "secure_env_vars" {
  description = "Variables exported on the machine before the launcher or worker starts, kept in Secrets Manager (and in Terraform's state). SPACELIFT_TOKEN and SPACELIFT_POOL_PRIVATE_KEY belong here."
  type        = map(string)
  default     = {}
  sensitive   = true
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(nonsensitive(var.secure_env_vars)) : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name))])
    error_message = "secure_env_vars has a name that no shell exports: letters, digits and _ only."
  }
}

variable "byo_secretsmanager" {
  description = "A secret of your own instead of `secure_env_vars`: its value is a JSON object, of which `keys` are exported, in this order."
  type = object({
    name = string
    arn  = string
    keys = list(string)
  })
  default = null

  validation {
    condition     = var.byo_secretsmanager == null || length(nonsensitive(var.secure_env_vars)) == 0
    error_message = "byo_secretsmanager and secure_env_vars exclude each other: give one of them."
  }

  validation {
    condition     = var.byo_secretsmanager == null ? true : length(var.byo_secretsmanager.keys) > 0 && alltrue([for name in var.byo_secretsmanager.keys : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name))])
    error_message = "byo_secretsmanager.keys names what is exported: at least one name, of letters, digits and _."
  }

  validation {
    condition     = var.kind != "spacelift" || var.byo_secretsmanager != null || length(nonsensitive(var.secure_env_vars)) > 0 || var.configuration != ""
    error_message = "A Spacelift worker needs its token and key: give secure_env_vars, byo_secretsmanager or configuration."
  }
}

variable "secure_env_vars_kms_key_id" {
  description = "ARN of the key of `secure_env_vars`' or `byo_secretsmanager`'s secret. Null: Secrets Manager's own."
  type        = string
  default     = null
}

variable "spacelift_api_credentials" {
  description = "API key of the functions: `api_key_id`, `api_key_endpoint` (`https://ACCOUNT.app.spacelift.io`) and `api_key_secret`, unless `byo_ssm` has that. The key needs the space's reader role and may drain workers."
  type = object({
    api_key_id       = string
    api_key_endpoint = string
    api_key_secret   = optional(string)
  })
  default   = null
  sensitive = true

  validation {
    condition     = var.kind != "spacelift" || (var.autoscaling_configuration == null && var.drainer_configuration == null) || nonsensitive(var.spacelift_api_credentials != null)
    error_message = "The functions ask Spacelift's API: give spacelift_api_credentials."
  }

  validation {
    condition     = var.kind == "spacelift" || nonsensitive(var.spacelift_api_credentials == null)
    error_message = "spacelift_api_credentials means nothing for a Windlass pool."
  }

  validation {
    condition     = nonsensitive(var.spacelift_api_credentials == null) ? true : nonsensitive(try(var.spacelift_api_credentials.api_key_secret, null) == null) == (var.byo_ssm != null)
    error_message = "The API key's secret comes either from spacelift_api_credentials.api_key_secret or from byo_ssm: give one of them."
  }

  validation {
    condition     = nonsensitive(var.spacelift_api_credentials == null) ? true : nonsensitive(can(regex("^https://[^/]+/?$", var.spacelift_api_credentials.api_key_endpoint)))
    error_message = "spacelift_api_credentials.api_key_endpoint is an address such as https://ACCOUNT.app.spacelift.io."
  }
}

variable "byo_ssm" {
  description = "An SSM parameter of your own (SecureString) that holds the API key's secret, and nothing else."
  type = object({
    name = string
    arn  = string
  })
  default = null
}

variable "ssm_kms_key_id" {
  description = "ARN of the key of that parameter, made here or yours. Null: SSM's own."
  type        = string
  default     = null
}
