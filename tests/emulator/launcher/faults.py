"""What goes wrong on purpose: rules that a test sets, looked at before and after each AWS call."""
import json
import random
import time

S3_ERRORS = {500: "InternalError", 503: "SlowDown", 409: "ConditionalRequestConflict", 403: "AccessDenied", 412: "PreconditionFailed"}
QUERY_ERRORS = {400: "Throttling", 500: "InternalFailure", 503: "ServiceUnavailable", 403: "AccessDenied"}
EC2_ERRORS = {400: "RequestLimitExceeded", 500: "InternalError", 503: "Unavailable", 403: "UnauthorizedOperation"}
JSON_ERRORS = {400: "ThrottlingException", 500: "InternalFailure", 503: "ServiceUnavailable", 403: "AccessDeniedException"}


class Rule:
    """`service`, `action`, `caller` and `resource` (a prefix) choose calls; `nth`, `every`, `rate` (with
    `seed`) and `times` choose among them; `when` is `before` or `after` the effect; `status` is
    what the caller sees, 0 a cut connection; `delay_ms` waits first; `for_s` ends the rule."""

    def __init__(self, words):
        self.words = words
        self.seen = self.struck = 0
        self.dice = random.Random(words.get("seed", 0))
        self.until = time.time() + words["for_s"] if "for_s" in words else None

    def strikes(self, call):
        caller, service, action, resource = call
        want = self.words
        if self.until and time.time() > self.until:
            return False
        if want.get("service", service) != service or want.get("caller", caller) != caller:
            return False
        if action not in want.get("actions", [want.get("action", action)]):
            return False
        if not resource.startswith(want.get("resource", "")):
            return False
        self.seen += 1
        if "times" in want and self.struck >= want["times"]:
            return False
        hit = (
            self.seen == want["nth"] if "nth" in want
            else self.seen % want["every"] == 0 if "every" in want
            else self.dice.random() < want.get("rate", 1.0)
        )
        self.struck += hit
        return hit


def answer(call, status, words=None):
    """The error as the service words it."""
    _, service, action, _ = call
    words = words or f"{action} failed on purpose"
    if service == "s3":
        code = S3_ERRORS.get(status, "InternalError")
        body = f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{words}</Message></Error>"
        return status, "application/xml", body.encode()
    if service == "ec2":
        code = EC2_ERRORS.get(status, "InternalError")
        body = f"<Response><Errors><Error><Code>{code}</Code><Message>{words}</Message></Error></Errors><RequestID>on-purpose</RequestID></Response>"
        return status, "text/xml", body.encode()
    if service in ("autoscaling", "iam", "sts"):
        code = QUERY_ERRORS.get(status, "InternalFailure")
        body = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message></Error><RequestId>on-purpose</RequestId></ErrorResponse>"
        return status, "text/xml", body.encode()
    code = JSON_ERRORS.get(status, "InternalFailure")
    body = {"__type": f"com.amazonaws.{service}#{code}", "message": words}
    return status, "application/x-amz-json-1.0", json.dumps(body).encode()


def refusal(call, roles):
    """What IAM says when the caller's role lacks the action; None when nothing is known of the caller."""
    caller, service, action, resource = call
    allowed = roles.get(caller)
    if allowed is None or f"{service}:{action}" in allowed:
        return None
    words = f"User: arn:aws:sts::123456789012:assumed-role/{caller} is not authorized to perform: {service}:{action} on resource: {resource or '*'}"
    return answer(call, 403, words)
