# SPDX-License-Identifier: Apache-2.0
"""One request to the endpoint, signed or not, right or deliberately wrong. Prints the status, then the body.

client.py URL METHOD PATH[?QUERY] [--ca F] [--cert F --key F] [--body TEXT | --body-file F] [--header 'N: V']...
          [--sign ID SECRET SERVICE] [--target T] [--age SECONDS] [--send-body TEXT] [--payload HASH] [--headers]
--age signs with a time so long ago; --send-body sends another body than the one that was signed."""
import argparse
import hashlib
import hmac
import http.client
import ssl
import sys
import time
import urllib.parse


def sign(args, host, path, query, headers, body):
    access_key, secret, service = args.sign
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - args.age))
    headers["host"] = host
    headers["x-amz-date"] = now
    payload = args.payload or hashlib.sha256(body).hexdigest()
    if service == "s3" or args.payload:
        headers["x-amz-content-sha256"] = payload
    names = sorted(n for n in headers if n == "host" or n == "content-type" or n.startswith("x-amz-"))
    pairs = sorted(p if "=" in p else p + "=" for p in query.split("&") if p)
    canonical = "\n".join([args.method, path, "&".join(pairs), *(f"{n}:{headers[n].strip()}" for n in names), "",
                           ";".join(names), payload])
    scope = f"{now[:8]}/us-east-1/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in (now[:8], "us-east-1", service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, "
                                f"SignedHeaders={';'.join(names)}, Signature={signature}")


def main():
    p = argparse.ArgumentParser()
    for name in ("url", "method", "path"):
        p.add_argument(name)
    for name in ("--ca", "--cert", "--key", "--body", "--body-file", "--target", "--send-body", "--payload"):
        p.add_argument(name)
    p.add_argument("--header", action="append", default=[])
    p.add_argument("--sign", nargs=3)
    p.add_argument("--age", type=int, default=0)
    p.add_argument("--timeout", type=float, default=90)
    p.add_argument("--headers", action="store_true")
    args = p.parse_args()

    url = urllib.parse.urlsplit(args.url)
    context = ssl.create_default_context(cafile=args.ca)
    if args.cert:
        context.load_cert_chain(args.cert, args.key)
    body = open(args.body_file, "rb").read() if args.body_file else (args.body or "").encode()
    path, _, query = args.path.partition("?")
    headers = {}
    if args.target:
        headers["x-amz-target"] = args.target
        headers["content-type"] = "application/x-amz-json-1.1"
    for line in args.header:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if args.sign:
        sign(args, url.netloc, path, query, headers, body)
    if args.send_body is not None:
        body = args.send_body.encode()
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=args.timeout)
    connection.request(args.method, args.path, body=body or None, headers=headers)
    answer = connection.getresponse()
    out = [str(answer.status)]
    if args.headers:
        out += [f"{name.lower()}: {value}" for name, value in answer.getheaders()] + [""]
    sys.stdout.buffer.write("\n".join(out).encode() + b"\n" + answer.read() + b"\n")


if __name__ == "__main__":
    main()
