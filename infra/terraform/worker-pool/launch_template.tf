locals {
  user_data = templatefile(local.user_data_template, merge(local.user_data_common, local.user_data_kind, {
    region     = local.region
    secret_arn = local.secret_arn == null ? "" : local.secret_arn
  }))

  # The group's own tags reach machines; volumes get them from here.
  tagged = merge(
    { for type in ["instance", "volume"] : type => local.tags },
    { for given in var.tag_specifications : given.resource_type => merge(local.tags, given.tags) },
  )
}

resource "aws_launch_template" "this" {
  name                   = local.base_name
  image_id               = var.ami_id == "" ? data.aws_ami.newest[0].id : var.ami_id
  instance_type          = var.ec2_instance_type
  user_data              = base64encode(local.user_data)
  vpc_security_group_ids = var.security_groups
  default_version        = var.launch_template_default_version
  update_default_version = var.launch_template_update_default_version
  # The script powers a machine off when its launcher ends; nothing of it is to stay.
  instance_initiated_shutdown_behavior = "terminate"

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = var.disable_container_credentials ? 1 : 2
  }

  monitoring {
    enabled = var.enable_monitoring
  }

  block_device_mappings {
    device_name = var.root_device_name

    ebs {
      delete_on_termination = true
      encrypted             = var.volume_encryption
      kms_key_id            = var.volume_encryption_kms_key_id
      volume_type           = "gp3"
      volume_size           = var.volume_size
      throughput            = var.volume_throughput
      iops                  = var.volume_iops
    }
  }

  dynamic "instance_market_options" {
    for_each = var.instance_market_options == null ? [] : [var.instance_market_options]

    content {
      market_type = instance_market_options.value.market_type

      spot_options {
        max_price                      = instance_market_options.value.spot_options.max_price
        spot_instance_type             = instance_market_options.value.spot_options.spot_instance_type
        instance_interruption_behavior = instance_market_options.value.spot_options.instance_interruption_behavior
      }
    }
  }

  dynamic "tag_specifications" {
    for_each = local.tagged

    content {
      resource_type = tag_specifications.key
      tags          = tag_specifications.value
    }
  }

  tags = local.tags

  lifecycle {
    precondition {
      condition     = length(local.user_data) <= 16384
      error_message = "The machines' user data is larger than EC2 takes (16 KiB): shorten configuration, or bring certificates in the image."
    }
  }
}
