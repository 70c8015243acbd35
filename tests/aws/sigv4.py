# SPDX-License-Identifier: Apache-2.0
"""AWS Signature Version 4, for the fake service: written from the published description, on purpose without a look at
common/sigv4.c, so that a mistake of one is seen by the other. `sigv4.py VECTORS` checks it against published signatures (TAP)."""
import hashlib
import hmac
import json
import re
import sys
import urllib.parse

UNRESERVED = "-._~"


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def quote(raw):
    return urllib.parse.quote(as_bytes(raw), safe=UNRESERVED)


def canonical_path(path, s3):
    """path: as on the wire. S3 encodes it once; everything else normalises and encodes what is on the wire again."""
    if s3:
        return "/".join(quote(urllib.parse.unquote_to_bytes(part)) for part in (path or "/").split("/"))
    kept = []
    for part in path.split("/"):
        if part == "..":
            kept = kept[:-1]
        elif part not in ("", "."):
            kept.append(quote(part))
    tail = "/" if kept and path.endswith("/") else ""
    return "/" + "/".join(kept) + tail


def canonical_query(query):
    pairs = []
    for part in query.split("&") if query else []:
        name, _, value = part.partition("=")
        if name != "X-Amz-Signature":
            pairs.append((quote(urllib.parse.unquote_to_bytes(name)), quote(urllib.parse.unquote_to_bytes(value))))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def canonical_headers(headers, signed):
    lines = []
    for name in signed:
        values = [re.sub(rb"\s+", b" ", as_bytes(v).strip()) for n, v in headers if n.lower() == name]
        lines.append(name.encode() + b":" + b",".join(values) + b"\n")
    return b"".join(lines)


def signature(request, signed, scope, date, secret):
    """request: dict of method, path, query, headers (list of pairs), payload (hex hash or literal), s3."""
    canonical = b"\n".join([
        request["method"].encode(), canonical_path(request["path"], request["s3"]).encode(),
        canonical_query(request["query"]).encode(), canonical_headers(request["headers"], signed),
        ";".join(signed).encode(), request["payload"].encode()])
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical).hexdigest()])
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def parse(authorization):
    """(access key, scope, signed headers, signature), or None."""
    match = re.fullmatch(r"AWS4-HMAC-SHA256 +Credential=([^/,\s]+)/(\d{8}/[^/,\s]+/[^/,\s]+/aws4_request), *"
                         r"SignedHeaders=([a-z0-9;-]+), *Signature=([0-9a-f]{64})", authorization or "")
    return match and (match[1], match[2], match[3].split(";"), match[4])


def self_test(path):
    with open(path) as f:
        doc = json.load(f)
    failed = 0
    for number, vector in enumerate(doc["vectors"], 1):
        key = doc["keys"][vector["key"]]
        headers = [tuple(pair) for pair in vector["headers"]]
        date = next(v for n, v in headers if n.lower() == "x-amz-date")
        given = next((v for n, v in headers if n.lower() == "x-amz-content-sha256"), None)
        request = {"method": vector["method"], "path": vector["path"], "query": vector["query"], "headers": headers,
                   "payload": given or hashlib.sha256(as_bytes(vector["body"])).hexdigest(), "s3": vector["key"] == "s3"}
        scope = f"{date[:8]}/{key['region']}/{key['service']}/aws4_request"
        seen = signature(request, vector["signed_headers"].split(";"), scope, date, key["secret"])
        right = seen == vector["signature"]
        failed += not right
        print(f"{'ok' if right else 'not ok'} {number} - {vector['name']}")
    print(f"1..{len(doc['vectors'])}")
    return failed


if __name__ == "__main__":
    sys.exit(1 if self_test(sys.argv[1]) else 0)
