"""The same calls as our webhook makes, as a Python function: two objects and a message."""
import os
import time
import urllib.request

import boto3
from botocore.config import Config

api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
sqs = boto3.client("sqs")
bucket = os.environ["WINDLASS_BUCKET"]
queue = os.environ["WINDLASS_QUEUE_URL_PREFIX"] + "intents.fifo"

while True:
    with urllib.request.urlopen(f"{api}/next") as answer:
        id, event = answer.headers["lambda-runtime-aws-request-id"], answer.read()
    unique = f"{os.getpid()}-{id}-{time.time_ns()}"
    s3.put_object(Bucket=bucket, Key=f"bench/{unique}", Body=event, IfNoneMatch="*")
    sqs.send_message(QueueUrl=queue, MessageBody=unique, MessageGroupId="bench", MessageDeduplicationId=unique)
    s3.put_object(Bucket=bucket, Key=f"bench/{unique}.seen", Body=b"{}", IfNoneMatch="*")
    urllib.request.urlopen(f"{api}/{id}/response", data=b'{"statusCode":202}').read()
