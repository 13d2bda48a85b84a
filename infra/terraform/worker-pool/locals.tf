# What follows from the inputs alone. A test plans it with real Terraform, without any provider.
locals {
  base_name = coalesce(var.base_name, "windlass-${lower(var.worker_pool_id)}")
  tags      = merge(var.additional_tags, { WorkerPoolID = var.worker_pool_id })

  spacelift = var.kind == "spacelift"

  autoscaler = var.autoscaling_configuration != null
  drainer    = var.drainer_configuration != null
  functions  = local.autoscaler || local.drainer
  # Names only: the values stay sensitive.
  secure_names = sort(keys(nonsensitive(var.secure_env_vars)))
  has_secret   = var.byo_secretsmanager != null || length(local.secure_names) > 0
  secret_keys  = var.byo_secretsmanager != null ? var.byo_secretsmanager.keys : local.secure_names

  launcher_s3_uri = local.spacelift ? var.selfhosted_configuration.s3_uri : var.windlass_configuration.binary_s3_uri
  launcher_object = local.launcher_s3_uri == "" ? "" : trimprefix(local.launcher_s3_uri, "s3://")

  own_documents = local.functions && local.spacelift && var.documents_bucket == null
  vpc           = var.autoscaling_vpc_subnets == null ? [] : [1]
  tracing       = var.autoscaling_tracing_mode == "Active"

  # What wakes the autoscaler between two ticks.
  has_spot = var.instance_market_options != null || try(var.mixed_instances_policy.on_demand_percentage_above_base_capacity, 100) < 100
  wakes = merge(
    # A queued run is a document in the control plane's bucket. Its key does not say for which pool.
    local.autoscaler && !local.spacelift ? {
      work = {
        description = "Queued runs wake the autoscaler of ${var.worker_pool_id}"
        retries     = 0 # what did not arrive at once is the next tick's
        pattern = jsonencode({
          source      = ["aws.s3"]
          detail-type = ["Object Created"]
          detail = {
            bucket = { name = [var.windlass_configuration.bucket] }
            object = { key = [{ wildcard = "jobs/*/spec" }] }
          }
        })
      }
    } : {},
    # EC2 says it of any machine of the account; of others than the group's nothing follows.
    local.autoscaler && local.has_spot ? {
      notices = {
        description = "Machines that are about to be taken wake the autoscaler of ${var.worker_pool_id}"
        retries     = 3
        pattern = jsonencode({
          source      = ["aws.ec2"]
          detail-type = ["EC2 Spot Instance Interruption Warning", "EC2 Instance Rebalance Recommendation"]
        })
      }
    } : {},
  )

  # Of both kinds.
  user_data_common = {
    pool          = var.worker_pool_id
    group         = local.base_name
    configuration = var.configuration
    secret_keys   = local.secret_keys
    http_proxy    = var.selfhosted_configuration.http_proxy_config
    https_proxy   = var.selfhosted_configuration.https_proxy_config
    no_proxy      = var.selfhosted_configuration.no_proxy_config
    certificates  = [for pem in var.selfhosted_configuration.ca_certificates : base64encode("${trimspace(pem)}\n")]
    power_off     = var.selfhosted_configuration.power_off_on_error
    delay         = var.poweroff_delay
    s3_uri        = local.launcher_s3_uri
  }
  user_data_kind = local.spacelift ? {
    domain       = var.domain_name
    launcher     = var.launcher
    as_spacelift = tostring(local.launcher_s3_uri != "" && var.selfhosted_configuration.run_launcher_as_spacelift_user)
    } : {
    bucket           = var.windlass_configuration.bucket
    queue_url_prefix = var.windlass_configuration.queue_url_prefix
    secrets_prefix   = var.windlass_configuration.secrets_prefix
    slots            = tostring(var.windlass_configuration.slots)
    tool_url         = var.windlass_configuration.tool_url
    tool_sha256      = var.windlass_configuration.tool_sha256
  }
  user_data_template = "${path.module}/templates/${var.kind}.sh.tftpl"
}
