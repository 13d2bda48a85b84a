"""Who called what: one entry per AWS request, named as IAM names it."""
import json
import re
from urllib.parse import parse_qs, unquote

CREDENTIAL = re.compile(r"Credential=([^/]+)/[^/]+/[^/]+/([^/]+)/aws4_request")
SERVICES = {"AmazonSQS": "sqs", "AmazonSSM": "ssm", "secretsmanager": "secretsmanager"}
# docs.aws.amazon.com/AmazonS3/latest/API: the operation follows from method and query.
S3_BUCKET = {"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
S3_OBJECT = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject", "POST": "PutObject"}
# Subresources of a bucket or an object that have an action of their own.
S3_ASIDE = {
    "versioning": "BucketVersioning", "lifecycle": "LifecycleConfiguration", "policy": "BucketPolicy",
    "encryption": "EncryptionConfiguration", "publicAccessBlock": "BucketPublicAccessBlock",
    "tagging": "Tagging", "location": "BucketLocation", "versions": "BucketVersions", "acl": "Acl",
}
# docs.aws.amazon.com/AmazonS3/latest/userguide/aws-usage-report-understand.html
S3_PUT_CLASS = {"PutObject", "ListBucket", "ListBucketVersions", "CreateBucket"}


def of(environ, body):
    """caller, service, action, resource of a request; None for what is no AWS call."""
    auth = environ.get("HTTP_AUTHORIZATION", "")
    query = environ.get("QUERY_STRING", "")
    found = CREDENTIAL.search(auth) or CREDENTIAL.search(unquote(query).replace("X-Amz-Credential", "Credential"))
    if not found:
        return None
    caller, service = found.groups()
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        name, action = target.split(".", 1)
        service = SERVICES.get(name.split("_")[0], service)
        return caller, service, action, resource_of_json(service, body)
    if service == "s3":
        return (caller, service, *of_s3(environ, query))
    form = parse_qs(body.decode("utf-8", "replace")) if body else parse_qs(query)
    names = ("AutoScalingGroupName", "AutoScalingGroupNames.member.1", "InstanceId", "InstanceId.1", "QueueUrl", "Name")
    resource = next((form[name][0] for name in names if name in form), "")
    return caller, service, form.get("Action", ["?"])[0], resource


def resource_of_json(service, body):
    try:
        words = json.loads(body or b"{}")
    except ValueError:
        return ""
    for name in ("QueueUrl", "QueueName", "Name", "SecretId", "Path"):
        if name in words:
            text = str(words[name])
            return text.rsplit("/", 1)[-1] if name == "QueueUrl" else text
    return ",".join(words.get("Names", []))


def of_s3(environ, query):
    path = unquote(environ.get("PATH_INFO", "")).lstrip("/")
    bucket, _, key = path.partition("/")
    method = environ["REQUEST_METHOD"]
    asked = parse_qs(query, keep_blank_values=True)
    if method == "POST" and "delete" in asked:
        return "DeleteObject", bucket
    for word, name in S3_ASIDE.items():
        if word in asked:
            return ("Get" if method in ("GET", "HEAD") else "Put") + name, path
    if key:
        return S3_OBJECT.get(method, "?"), path
    action = S3_BUCKET.get(method, "?")
    prefix = asked.get("prefix", [""])[0]
    return action, f"{bucket}/{prefix}" if action == "ListBucket" else bucket


def price_class(service, action):
    """How AWS bills it: put, get, free or sqs."""
    if service == "sqs":
        return "sqs"
    if service != "s3":
        return service
    if action in S3_PUT_CLASS:
        return "put"
    return "free" if action.startswith("Delete") else "get"
