resource "aws_cloudwatch_event_rule" "tick" {
  name                = var.name
  description         = "Ticks of the ${var.kind} of ${var.common.pool}"
  schedule_expression = var.schedule_expression
  tags                = var.common.tags
}

resource "aws_cloudwatch_event_target" "tick" {
  rule  = aws_cloudwatch_event_rule.tick.name
  arn   = aws_lambda_function.this.arn
  input = var.tick_input

  # A late tick is dropped by the function: the next one knows better.
  retry_policy {
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = 1
  }
}

resource "aws_lambda_permission" "tick" {
  statement_id  = "Tick"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  principal     = "events.${var.common.dns_suffix}"
  source_arn    = aws_cloudwatch_event_rule.tick.arn
}

# Between two ticks. The tick sees the same, only later.
resource "aws_cloudwatch_event_rule" "wakes" {
  for_each = var.wakes

  name          = "${var.name}-${each.key}"
  description   = each.value.description
  event_pattern = each.value.pattern
  tags          = var.common.tags
}

resource "aws_cloudwatch_event_target" "wakes" {
  for_each = var.wakes

  rule = aws_cloudwatch_event_rule.wakes[each.key].name
  arn  = aws_lambda_function.this.arn

  retry_policy {
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = each.value.retries
  }
}

resource "aws_lambda_permission" "wakes" {
  for_each = var.wakes

  statement_id  = title(each.key)
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  principal     = "events.${var.common.dns_suffix}"
  source_arn    = aws_cloudwatch_event_rule.wakes[each.key].arn
}
