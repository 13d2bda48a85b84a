"""Where moto answers otherwise than AWS does, and it matters to a control plane.

Each correction says what AWS promises. All of them rely on the lock of serve.py: one request is
handled at a time, which also makes S3's conditional writes atomic.
"""
import json
import time
from copy import deepcopy
from datetime import timedelta

from moto.s3.models import s3_backends
from moto.sqs import models as sqs
from moto.sqs.exceptions import InvalidParameterValue, ReceiptHandleIsInvalid

# A FIFO queue takes an id once in five minutes, whether or not the first message is still there:
# docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/using-messagededuplicationid-property.html
DEDUP_SECONDS = 300


def backend_of(bucket):
    account = next(a for a, known in s3_backends.items() if bucket in known["aws"].buckets)
    return s3_backends[account]["aws"]


def older(bucket, prefix, ms):
    """Time that passes for objects alone: as if they had been written so much earlier."""
    for key in backend_of(bucket).buckets[bucket].keys.values():
        if key.name.startswith(prefix):
            key.last_modified -= timedelta(milliseconds=ms)


def receive(self, queue_name, count, wait_seconds_timeout, visibility_timeout, message_attribute_names=None):
    """Of a FIFO group nothing is delivered while a message of it is in flight, and what comes back
    comes back in order. The waiting is done by serve.py, outside of the lock."""
    queue = self.get_queue(queue_name)
    held = {m.group_id for m in queue._messages if not m.visible} if queue.fifo_queue else set()
    limit = (queue.redrive_policy or {}).get("maxReceiveCount")
    taken, dead = [], []
    for message in queue._messages:
        if len(taken) >= count:
            break
        if not message.visible or message.delayed or (queue.fifo_queue and message.group_id in held):
            continue
        if queue.dead_letter_queue is not None and limit and message.approximate_receive_count >= int(limit):
            dead.append(message)
            continue
        message.mark_received(visibility_timeout=visibility_timeout)
        shown = deepcopy(message)
        sqs._filter_message_attributes(shown, message_attribute_names or [])
        taken.append(shown)
    for message in dead:
        queue._messages.remove(message)
        # It keeps its id, and starts to count anew.
        message.approximate_receive_count = 0
        message.deduplication_id = None
        queue.dead_letter_queue.add_message(message)
    return taken


def next_visible(queue_name, backend):
    """Seconds until something can be received, 0 if it can now, None if nothing is there."""
    queue = backend.get_queue(queue_name)
    now = time.time() * 1000
    held = {m.group_id for m in queue._messages if not m.visible} if queue.fifo_queue else set()
    soonest = None
    for message in queue._messages:
        ready = max(message.visible_at, message.delayed_until)
        if ready < now and not (queue.fifo_queue and message.group_id in held):
            return 0
        if ready >= now:
            soonest = min(soonest or ready, ready)
    return None if soonest is None else (soonest - now) / 1000 + 0.001


def delete(self, receipt_handle):
    """An older receipt deletes nothing, and of a FIFO queue an expired one is refused:
    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html"""
    if receipt_handle in self.deleted_messages:
        return
    for message in self._messages:
        if not message.had_receipt_handle(receipt_handle):
            continue
        if self.fifo_queue and (message.visible or message.receipt_handle != receipt_handle):
            raise InvalidParameterValue(
                f"Value {receipt_handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
            )
        if message.receipt_handle == receipt_handle:
            self._messages.remove(message)
            self.deleted_messages.update(h for h in message.all_receipt_handles if h)
        return
    raise ReceiptHandleIsInvalid()


def change_visibility(self, queue_name, receipt_handle, visibility_timeout):
    """Only the newest receipt of a message in flight changes anything."""
    queue = self.get_queue(queue_name)
    for message in queue._messages:
        if not message.had_receipt_handle(receipt_handle):
            continue
        if message.visible or message.receipt_handle != receipt_handle:
            raise InvalidParameterValue(
                f"Value {receipt_handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change."
            )
        message.change_visibility(int(visibility_timeout))
        if int(visibility_timeout) == 0:
            message.visible_at = 0
        return
    raise ReceiptHandleIsInvalid()


def remember_dedup(original):
    def send(self, queue_name, *args, **kwargs):
        queue = self.get_queue(queue_name)
        dedup = kwargs.get("deduplication_id")
        if not (queue.fifo_queue and dedup):
            return original(self, queue_name, *args, **kwargs)
        known = self.__dict__.setdefault("_dedup", {})
        now = time.time()
        key = (queue_name, dedup)
        if key in known and now - known[key][0] < DEDUP_SECONDS:
            return known[key][1]
        message = original(self, queue_name, *args, **kwargs)
        known[key] = (now, message)
        if len(known) > 100_000:
            for old in [k for k, (at, _) in known.items() if now - at >= DEDUP_SECONDS]:
                del known[old]
        return message

    return send


def traced(header, body):
    """A trace that came with the request stays with the message, and with what it causes:
    docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-x-ray.html"""
    if not header:
        return body
    words = json.loads(body or b"{}")
    for message in words.get("Entries", [words]):
        attributes = message.setdefault("MessageSystemAttributes", {})
        attributes.setdefault("AWSTraceHeader", {"DataType": "String", "StringValue": header})
    return json.dumps(words).encode()


def apply():
    sqs.SQSBackend.receive_message = receive
    sqs.Queue.delete_message = delete
    sqs.SQSBackend.change_message_visibility = change_visibility
    sqs.SQSBackend.send_message = remember_dedup(sqs.SQSBackend.send_message)
