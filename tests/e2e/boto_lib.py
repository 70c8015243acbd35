# SPDX-License-Identifier: Apache-2.0
"""What the programs of boto-lib.sh share: a client of the endpoint, and checks of one line each."""
import json

import boto3
import botocore
from botocore.config import Config


def client(service, url, ca, credentials, **options):
    keys = json.load(open(credentials)) if isinstance(credentials, str) else credentials
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}).merge(options.pop("config", None) or Config())
    return boto3.client(service, endpoint_url=url, verify=ca, region_name="us-east-1",
                        aws_access_key_id=keys["access_key_id"], aws_secret_access_key=keys["secret_access_key"],
                        config=config, **options)


def check(name, expected, seen):
    good = expected == seen
    print(f"{'ok' if good else 'not ok'} {name}")
    if not good:
        print(f"# expected {expected!r:.500}\n# seen     {seen!r:.500}")


def code_of(call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as e:
        return e.response["Error"]["Code"]
    return "no error"
