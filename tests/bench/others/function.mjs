// The same calls as our webhook makes, as a Node function: two objects and a message.
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
const s3 = new S3Client({ forcePathStyle: true });
const sqs = new SQSClient({});
const Bucket = process.env.WINDLASS_BUCKET;
const QueueUrl = `${process.env.WINDLASS_QUEUE_URL_PREFIX}intents.fifo`;

for (;;) {
  const next = await fetch(`${api}/next`);
  const id = next.headers.get("lambda-runtime-aws-request-id");
  const event = await next.text();
  const unique = `${process.pid}-${id}-${Date.now()}`;
  await s3.send(new PutObjectCommand({ Bucket, Key: `bench/${unique}`, Body: event, IfNoneMatch: "*" }));
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: unique, MessageGroupId: "bench", MessageDeduplicationId: unique }));
  await s3.send(new PutObjectCommand({ Bucket, Key: `bench/${unique}.seen`, Body: "{}", IfNoneMatch: "*" }));
  await fetch(`${api}/${id}/response`, { method: "POST", body: '{"statusCode":202}' });
}
