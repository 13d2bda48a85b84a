locals {
  alarm_actions = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]
  alarmed = merge(
    local.autoscaler ? { autoscaler = local.autoscaler_name } : {},
    local.drainer ? { drainer = local.drainer_name } : {},
  )
}

resource "aws_cloudwatch_metric_alarm" "hooks_dead" {
  count = local.drainer ? 1 : 0

  alarm_name          = "${local.base_name}-hooks-dead"
  alarm_description   = "A lifecycle hook's message could not be handled. The tick still sees the machine."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.hooks_dead[0].name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each = local.alarmed

  alarm_name          = "${each.value}-errors"
  alarm_description   = "The ${each.key} of ${var.worker_pool_id} fails, three times in a quarter of an hour or more."
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = each.value }
  statistic           = "Sum"
  period              = 900
  evaluation_periods  = 1
  threshold           = 3
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  tags                = local.tags
}
