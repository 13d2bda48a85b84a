output "instances_role_arn" {
  description = "ARN of the machines' role; a list that is empty if it was not made here."
  value       = aws_iam_role.this[*].arn
}

output "instances_role_name" {
  description = "Name of the machines' role; a list that is empty if it was not made here."
  value       = aws_iam_role.this[*].name
}

output "autoscaling_group_arn" {
  description = "ARN of the group."
  value       = aws_autoscaling_group.this.arn
}

output "autoscaling_group_name" {
  description = "Name of the group."
  value       = aws_autoscaling_group.this.name
}

output "launch_template_id" {
  description = "Id of the launch template."
  value       = aws_launch_template.this.id
}

output "autoscaler_function_name" {
  description = "Name of the autoscaler's function; null without one."
  value       = one(module.autoscaler[*].function_name)
}

output "autoscaler_log_group_name" {
  description = "The autoscaler's log group; null without one."
  value       = one(module.autoscaler[*].log_group_name)
}

output "drainer_function_name" {
  description = "Name of the drainer's function; null without one."
  value       = one(module.drainer[*].function_name)
}

output "drainer_log_group_name" {
  description = "The drainer's log group; null without one."
  value       = one(module.drainer[*].log_group_name)
}

output "hook_queue_url" {
  description = "Queue of the lifecycle hook; null without a drainer."
  value       = one(aws_sqs_queue.hooks[*].url)
}

output "documents_bucket" {
  description = "Where the functions remember; null without functions."
  value       = local.functions ? local.documents : null
}

output "secret_arn" {
  description = "ARN of the secret whose keys the machines export; null without one."
  value       = local.secret_arn
}
