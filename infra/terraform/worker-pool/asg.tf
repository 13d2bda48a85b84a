resource "aws_autoscaling_group" "this" {
  name                = local.base_name
  min_size            = var.min_size
  max_size            = var.max_size
  vpc_zone_identifier = var.vpc_subnets

  # Only the autoscaler chooses who goes; what it lets go it takes from this protection.
  protect_from_scale_in = local.autoscaler
  suspended_processes   = var.suspended_processes
  termination_policies  = ["OldestLaunchTemplate", "OldestInstance"]

  health_check_type         = "EC2"
  health_check_grace_period = var.health_check_grace_period
  max_instance_lifetime     = var.max_instance_lifetime
  enabled_metrics           = var.enabled_metrics
  force_delete              = var.force_delete
  # Machines come when there are runs: there is nothing to wait for.
  wait_for_capacity_timeout = "0"

  dynamic "launch_template" {
    for_each = var.mixed_instances_policy == null ? [1] : []

    content {
      id      = aws_launch_template.this.id
      version = coalesce(var.launch_template_version, aws_launch_template.this.latest_version)
    }
  }

  dynamic "mixed_instances_policy" {
    for_each = var.mixed_instances_policy == null ? [] : [var.mixed_instances_policy]

    content {
      instances_distribution {
        on_demand_base_capacity                  = mixed_instances_policy.value.on_demand_base_capacity
        on_demand_percentage_above_base_capacity = mixed_instances_policy.value.on_demand_percentage_above_base_capacity
        on_demand_allocation_strategy            = mixed_instances_policy.value.on_demand_allocation_strategy
        spot_allocation_strategy                 = mixed_instances_policy.value.spot_allocation_strategy
        spot_max_price                           = mixed_instances_policy.value.spot_max_price
      }

      launch_template {
        launch_template_specification {
          launch_template_id = aws_launch_template.this.id
          version            = coalesce(var.launch_template_version, aws_launch_template.this.latest_version)
        }

        dynamic "override" {
          for_each = mixed_instances_policy.value.instance_types

          content {
            instance_type = override.value
          }
        }
      }
    }
  }

  dynamic "instance_refresh" {
    for_each = var.instance_refresh == null ? [] : [var.instance_refresh]

    content {
      strategy = instance_refresh.value.strategy
      triggers = instance_refresh.value.triggers

      preferences {
        min_healthy_percentage       = instance_refresh.value.preferences.min_healthy_percentage
        max_healthy_percentage       = instance_refresh.value.preferences.max_healthy_percentage
        instance_warmup              = instance_refresh.value.preferences.instance_warmup
        skip_matching                = instance_refresh.value.preferences.skip_matching
        auto_rollback                = instance_refresh.value.preferences.auto_rollback
        scale_in_protected_instances = instance_refresh.value.preferences.scale_in_protected_instances
      }
    }
  }

  dynamic "tag" {
    for_each = merge(local.tags, { Name = local.base_name })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle {
    # The autoscaler's, or yours.
    ignore_changes = [desired_capacity]
  }

  # A machine that boots before its role is whole never becomes a worker.
  depends_on = [
    aws_iam_role_policy.machine_secret,
    aws_iam_role_policy.machine_launcher,
    aws_iam_role_policy.machine_extra,
    aws_iam_role_policy_attachment.machine_windlass,
  ]
}

# For every way in which a machine may end: by the autoscaler, by hand, by an instance refresh, by
# its age, by a change of zones.
resource "aws_autoscaling_lifecycle_hook" "drain" {
  count = local.drainer ? 1 : 0

  name                    = local.hook_name
  autoscaling_group_name  = aws_autoscaling_group.this.name
  lifecycle_transition    = "autoscaling:EC2_INSTANCE_TERMINATING"
  default_result          = "CONTINUE"
  heartbeat_timeout       = var.lifecycle_hook_timeout
  notification_target_arn = aws_sqs_queue.hooks[0].arn
  role_arn                = aws_iam_role.hook[0].arn

  depends_on = [aws_iam_role_policy.hook]
}
