# SPDX-License-Identifier: Apache-2.0
"""Asks the endpoint one question per line of stdin, so that a test with a hundred questions starts Python once.

api-ask.py URL CA DIR KEY-ID SECRET
in:  WHO TAB OPERATION TAB BODY TAB MEMBER...   WHO is "-" (signed, management API) or a host with DIR/WHO.pem and DIR/WHO.key
out: STATUS TAB ANSWER on one line; with members, what stands there in the answer (nothing when it is not there)"""
import http.client
import json
import ssl
import sys
import types
import urllib.parse

import client

URL, CA, DIR, KEY, SECRET = sys.argv[1:]


def ask(who, operation, body):
    url = urllib.parse.urlsplit(URL)
    context = ssl.create_default_context(cafile=CA)
    headers = {"content-type": "application/x-amz-json-1.1"}
    if who == "-":
        headers["x-amz-target"] = "CodeDeploy_20141006." + operation
        args = types.SimpleNamespace(sign=(KEY, SECRET, "codedeploy"), age=0, payload=None, method="POST")
        client.sign(args, url.netloc, "/", "", headers, body)
    else:
        headers["x-amz-target"] = "CodeDeployCommandService_v20141006." + operation
        context.load_cert_chain(f"{DIR}/{who}.pem", f"{DIR}/{who}.key")
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=90)
    connection.request("POST", "/", body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def find(value, members):
    for member in members:
        try:
            value = value[int(member)] if isinstance(value, list) else value[member]
        except (KeyError, IndexError, TypeError):
            return ""
    return value if isinstance(value, str) else json.dumps(value)


for line in sys.stdin:
    who, operation, body, *members = line.rstrip("\n").split("\t")
    try:
        status, answer = ask(who, operation, body.encode())
        text = find(json.loads(answer), members) if members else answer.decode()
    except (OSError, http.client.HTTPException, ValueError) as error:
        status, text = 0, str(error)
    print(status, text.replace("\n", "\\n"), sep="\t", flush=True)
