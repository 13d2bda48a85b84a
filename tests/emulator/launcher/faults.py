"""What goes wrong on purpose: rules that a test sets, looked at before and after each AWS call."""
import json
import random
import time

S3_ERRORS = {500: "InternalError", 503: "SlowDown", 409: "ConditionalRequestConflict", 403: "AccessDenied", 412: "PreconditionFailed"}
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


def answer(call, status):
    """The error as the service words it."""
    _, service, action, _ = call
    if service == "s3":
        code = S3_ERRORS.get(status, "InternalError")
        body = f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on purpose</Message></Error>"
        return status, "application/xml", body.encode()
    code = JSON_ERRORS.get(status, "InternalFailure")
    body = {"__type": f"com.amazonaws.{service}#{code}", "message": f"{action} failed on purpose"}
    return status, "application/x-amz-json-1.0", json.dumps(body).encode()
