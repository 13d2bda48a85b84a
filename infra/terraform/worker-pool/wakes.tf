# What wakes the autoscaler between two ticks. The tick sees the same, only later.
resource "aws_cloudwatch_event_rule" "wakes" {
  for_each = local.wakes

  name          = "${local.autoscaler_name}-${each.key}"
  description   = each.value.description
  event_pattern = each.value.pattern
  tags          = local.tags
}

resource "aws_cloudwatch_event_target" "wakes" {
  for_each = local.wakes

  rule = aws_cloudwatch_event_rule.wakes[each.key].name
  arn  = aws_lambda_function.autoscaler[0].arn

  retry_policy {
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = each.value.retries
  }
}

resource "aws_lambda_permission" "wakes" {
  for_each = local.wakes

  statement_id  = title(each.key)
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.autoscaler[0].function_name
  principal     = "events.${local.dns_suffix}"
  source_arn    = aws_cloudwatch_event_rule.wakes[each.key].arn
}
