"""What S3 tells EventBridge. moto has rules of its own, which know no wildcards and invoke no function
of ours: here the events wait for whoever asks.

docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html: one event for each object that was
created, whatever it was before, once the bucket's configuration says so.
"""
import time
import uuid
from collections import deque

from moto.s3 import notifications

KEPT_MAX = 10_000
events, count = deque(maxlen=KEPT_MAX), 0


def happened(account, bucket, event_name, key):
    global count
    kind = notifications._detail_type(event_name)
    detail = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": {"key": key.name, "size": key.size, "etag": key.etag.strip('"'), "sequencer": f"{count:018X}"},
        "request-id": uuid.uuid4().hex[:16].upper(),
        "requester": account,
        "source-ip-address": "127.0.0.1",
        "reason": "PutObject" if kind == "Object Created" else "DeleteObject",
    }
    event = {
        "version": "0", "id": str(uuid.uuid4()), "detail-type": kind, "source": "aws.s3", "account": account,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "region": bucket.region_name,
        "resources": [bucket.arn], "detail": detail,
    }
    count += 1
    events.append((count, event))


def after(number):
    """Events after this one, and the number of the last."""
    return {"events": [event for at, event in events if at > number], "next": count}


def apply():
    notifications._send_event_bridge_message = happened
