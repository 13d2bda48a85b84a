"""Prints a SAM template as the plain CloudFormation that AWS makes of it: translate.py TEMPLATE."""
import json, os, sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    """A role that names one gets it by its ARN; nothing is looked up in an account."""

    def load(self):
        return {}


with open(sys.argv[1]) as file:
    template = yaml_parse(file.read())
for resource in template["Resources"].values():
    # Code lies in folders of this machine, which CloudFormation can't read.
    if resource["Type"] == "AWS::Serverless::Function":
        resource["Properties"]["CodeUri"] = "s3://code-of-functions/code.zip"
print(json.dumps(transform(template, {}, NoManagedPolicies())))
