# SPDX-License-Identifier: Apache-2.0
"""S3 by boto3. s3-boto.py URL CA CREDENTIALS STEP [FILE]: prints one TAP-like line per check ("ok NAME" / "not ok NAME"), for s3-boto.sh.

all: everything that one process can see; begin: an upload with two parts, its id into FILE; complete: that upload, twice."""
import hashlib
import io
import json
import random
import re
import ssl
import sys
import urllib.error
import urllib.request

import botocore
from botocore.config import Config

from boto_lib import check, client, code_of

MIB = 1 << 20


def content(size, seed):
    return random.Random(seed).randbytes(size)


def keys(answer):
    return [entry["Key"] for entry in answer.get("Contents", [])]


def lists(s3):
    names = ["a", "dir/1", "dir/2", "dir/sub/3", "e<&>\"'\u00e4 %+", "z"]
    for name in names:
        s3.put_object(Bucket="lists", Key=name, Body=name.encode())
    check("ListObjectsV2 has every key in order", sorted(names, key=str.encode), keys(s3.list_objects_v2(Bucket="lists")))
    one = s3.list_objects_v2(Bucket="lists", Delimiter="/")
    check("a delimiter makes one entry of a folder", (["dir/"], 4), ([p["Prefix"] for p in one["CommonPrefixes"]], one["KeyCount"]))
    check("a prefix goes into it", ["dir/1", "dir/2"], keys(s3.list_objects_v2(Bucket="lists", Prefix="dir/", Delimiter="/")))
    for name in ("list_objects_v2", "list_objects"):
        for delimiter in ("", "/"):
            pages = list(s3.get_paginator(name).paginate(Bucket="lists", Delimiter=delimiter, PaginationConfig={"PageSize": 1}))
            seen = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
            groups = [p["Prefix"] for page in pages for p in page.get("CommonPrefixes", [])]
            wanted = names if not delimiter else [n for n in names if "/" not in n]
            check(f"{name} in pages of one, delimiter '{delimiter}'", (wanted, ["dir/"] if delimiter else []), (seen, groups))
    check("start-after", ["z"], keys(s3.list_objects_v2(Bucket="lists", StartAfter=names[4])))
    check("an unknown bucket", "NoSuchBucket", code_of(s3.list_objects_v2, Bucket="no-such-bucket"))
    check("a token that is none", "InvalidArgument", code_of(s3.list_objects_v2, Bucket="lists", ContinuationToken="x"))
    check("buckets are listed", True, "lists" in [b["Name"] for b in s3.list_buckets()["Buckets"]])


def deletes(s3):
    first = s3.put_object(Bucket="deletes", Key="k", Body=b"1")["VersionId"]
    s3.put_object(Bucket="deletes", Key="k", Body=b"2")
    check("DeleteObject leaves a marker", True, s3.delete_object(Bucket="deletes", Key="k")["DeleteMarker"])
    check("then the key is gone", "NoSuchKey", code_of(s3.get_object, Bucket="deletes", Key="k"))
    check("and out of the list", [], keys(s3.list_objects_v2(Bucket="deletes")))
    check("a version is still there", b"1", s3.get_object(Bucket="deletes", Key="k", VersionId=first)["Body"].read())
    check("a bucket with versions stays", "BucketNotEmpty", code_of(s3.delete_bucket, Bucket="deletes"))
    removed = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket="deletes", PaginationConfig={"PageSize": 1}):
        for entry in page.get("Versions", []) + page.get("DeleteMarkers", []):
            s3.delete_object(Bucket="deletes", Key=entry["Key"], VersionId=entry["VersionId"])
            removed += 1
    check("every version can be deleted while they are listed", 3, removed)
    check("then the bucket goes", 204, s3.delete_bucket(Bucket="deletes")["ResponseMetadata"]["HTTPStatusCode"])
    for i in range(3):
        s3.put_object(Bucket="deletes", Key=f"<{i}>", Body=b"x")
    answer = s3.delete_objects(Bucket="deletes", Delete={"Objects": [{"Key": f"<{i}>"} for i in range(3)] + [{"Key": "none"}]})
    check("DeleteObjects", ["<0>", "<1>", "<2>", "none"], sorted(d["Key"] for d in answer["Deleted"]))
    answer = s3.delete_objects(Bucket="deletes", Delete={"Objects": [{"Key": "<0>"}], "Quiet": True})
    check("quietly", None, answer.get("Deleted"))


def bodies(s3):
    known = []
    for algorithm in ("CRC32", "SHA1", "SHA256", "CRC32C", "CRC64NVME"):
        try:
            answer = s3.put_object(Bucket="sums", Key=algorithm, Body=content(100001, 1), ChecksumAlgorithm=algorithm)
        except (botocore.exceptions.MissingDependencyException, botocore.exceptions.ParamValidationError,
                botocore.exceptions.FlexibleChecksumError):
            continue
        known.append(algorithm)
        check(f"{algorithm} is checked and echoed", True, bool(answer.get("Checksum" + algorithm)))
    check("checksums of this boto3 were tried", True, len(known) >= 3)
    check("a wrong one is refused", "BadDigest", code_of(s3.put_object, Bucket="sums", Key="x", Body=b"1", ChecksumCRC32="AAAAAA=="))
    check("and leaves nothing", "404", code_of(s3.head_object, Bucket="sums", Key="x"))
    check("a copy", s3.head_object(Bucket="sums", Key="CRC32")["ETag"],
          s3.copy_object(Bucket="sums", Key="copy", CopySource={"Bucket": "sums", "Key": "CRC32"})["CopyObjectResult"]["ETag"])
    check("of what is not there", "NoSuchKey",
          code_of(s3.copy_object, Bucket="sums", Key="copy", CopySource={"Bucket": "sums", "Key": "none"}))
    check("the region", None, s3.get_bucket_location(Bucket="sums")["LocationConstraint"])
    check("versions are kept", "Enabled", s3.get_bucket_versioning(Bucket="sums")["Status"])


def part(s3, upload, number, data):
    return {"PartNumber": number, "ETag": s3.upload_part(**upload, PartNumber=number, Body=data)["ETag"]}


def begin_upload(s3, key):
    return {"Bucket": "parts", "Key": key, "UploadId": s3.create_multipart_upload(Bucket="parts", Key=key)["UploadId"]}


def parts(s3):
    whole = content(17 * MIB + 3, 2)
    s3.upload_fileobj(io.BytesIO(whole), "parts", "threads")
    back = io.BytesIO()
    s3.download_fileobj("parts", "threads", back)
    check("upload_fileobj in threads comes back", True, back.getvalue() == whole)
    check("its ETag counts the parts", "-3\"", s3.head_object(Bucket="parts", Key="threads")["ETag"][-3:])

    upload = begin_upload(s3, "errors")
    done = [part(s3, upload, 1, content(5 * MIB, 3)), part(s3, upload, 2, b"small"), part(s3, upload, 3, b"end")]

    def complete(*chosen):
        return code_of(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": list(chosen)})
    check("parts in disorder", "InvalidPartOrder", complete(done[1], done[0]))
    check("a part that is missing", "InvalidPart", complete(done[0], {"PartNumber": 9, "ETag": done[0]["ETag"]}))
    check("a wrong ETag", "InvalidPart", complete({"PartNumber": 1, "ETag": done[1]["ETag"]}))
    check("a small part in the middle", "EntityTooSmall", complete(*done))
    check("no parts", "MalformedXML", complete())
    check("the parts are listed", [1, 2, 3], [p["PartNumber"] for page in s3.get_paginator("list_parts").paginate(
        **upload, PaginationConfig={"PageSize": 2}) for p in page["Parts"]])
    check("so is the upload", [upload["UploadId"]], [u["UploadId"] for u in s3.list_multipart_uploads(Bucket="parts")["Uploads"]])
    check("nothing is visible", "404", code_of(s3.head_object, Bucket="parts", Key="errors"))
    check("it can be aborted", 204, s3.abort_multipart_upload(**upload)["ResponseMetadata"]["HTTPStatusCode"])
    check("then it is gone", "NoSuchUpload", complete(done[0]))
    check("part 0", "InvalidArgument", code_of(s3.upload_part, **upload, PartNumber=0, Body=b"x"))
    check("part 10001", "InvalidArgument", code_of(s3.upload_part, **upload, PartNumber=10001, Body=b"x"))

    upload = begin_upload(s3, "replaced")
    part(s3, upload, 2, b"old")
    done = [part(s3, upload, 1, content(5 * MIB, 4)), part(s3, upload, 2, b"new")]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
    check("a part that was sent again replaces the first", b"new",
          s3.get_object(Bucket="parts", Key="replaced", Range="bytes=-3")["Body"].read())


def copies(s3):
    whole = content(16 * MIB, 5)
    etag = s3.put_object(Bucket="copies", Key="from", Body=whole)["ETag"]
    upload = begin_upload(s3, "of parts")
    source = {"CopySource": {"Bucket": "copies", "Key": "from"}, **upload}
    ranges = ["bytes=0-6291455", "bytes=6291456-11534335", "bytes=11534336-16777215"]
    done = [{"PartNumber": n, "ETag": s3.upload_part_copy(**source, PartNumber=n, CopySourceRange=r, CopySourceIfMatch=etag)
             ["CopyPartResult"]["ETag"]} for n, r in enumerate(ranges, 1)]
    check("a part's ETag is its MD5", '"' + hashlib.md5(whole[6291456:11534336]).hexdigest() + '"', done[1]["ETag"])
    done.append({"PartNumber": 4, "ETag": s3.upload_part_copy(**source, PartNumber=4)["CopyPartResult"]["ETag"]})
    check("a part that is a whole object has its ETag", etag, done[3]["ETag"])
    for name, wanted, more in (("a range beyond the end", "InvalidArgument", {"CopySourceRange": "bytes=0-16777216"}),
                               ("a range without end", "InvalidArgument", {"CopySourceRange": "bytes=5-"}),
                               ("another ETag", "PreconditionFailed", {"CopySourceIfMatch": '"x"'}),
                               ("the same ETag", "PreconditionFailed", {"CopySourceIfNoneMatch": etag}),
                               ("no such source", "NoSuchKey", {"CopySource": {"Bucket": "copies", "Key": "none"}}),
                               ("no such upload", "NoSuchUpload", {"UploadId": "none"}),
                               ("part 0", "InvalidArgument", {"PartNumber": 0})):
        check(f"a part copied from or to {name}", wanted, code_of(s3.upload_part_copy, **{**source, "PartNumber": 5, **more}))
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
    check("the copies are joined", True, s3.get_object(Bucket="parts", Key="of parts")["Body"].read() == whole + whole)
    s3.copy({"Bucket": "copies", "Key": "from"}, "copies", "managed")
    check("a copy in parts by itself", (True, '-2"'), (s3.get_object(Bucket="copies", Key="managed")["Body"].read() == whole,
                                                      s3.head_object(Bucket="copies", Key="managed")["ETag"][-3:]))
    check("an object has no tags", [], s3.get_object_tagging(Bucket="copies", Key="from")["TagSet"])
    check("nor has one that is not there", "NoSuchKey", code_of(s3.get_object_tagging, Bucket="copies", Key="none"))


def fetch(url, method="GET", data=None):
    """Status and body, or the fault's code."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=60,
                                    context=ssl.create_default_context(cafile=sys.argv[2])) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, re.search("<Code>(.*)</Code>", error.read().decode())[1]


def presigned(s3):
    def url(operation, key, **more):
        return s3.generate_presigned_url(operation, Params={"Bucket": "links", "Key": key}, ExpiresIn=60, **more)
    check("a presigned PUT", (200, b""), fetch(url("put_object", "a b"), "PUT", b"by a link"))
    check("a presigned GET", (200, b"by a link"), fetch(url("get_object", "a b")))
    check("is not for another method", (403, "SignatureDoesNotMatch"), fetch(url("get_object", "a b"), "PUT", b"x"))
    check("nor for another object", (403, "SignatureDoesNotMatch"), fetch(url("get_object", "a b").replace("a%20b", "other")))
    check("nor for longer", (403, "SignatureDoesNotMatch"), fetch(url("get_object", "a b").replace("Expires=60", "Expires=61")))
    check("a link to nothing", (404, "NoSuchKey"), fetch(url("get_object", "none")))
    check("a life of eight days", (400, "AuthorizationQueryParametersError"),
          fetch(url("get_object", "a b").replace("Expires=60", "Expires=691200")))
    old = client("s3", *sys.argv[1:4], config=Config(signature_version="s3"))
    check("version 2 of the signature", (403, "AccessDenied"),
          fetch(old.generate_presigned_url("get_object", Params={"Bucket": "links", "Key": "a b"})))


def begin(s3, file):
    upload = begin_upload(s3, "killed")
    done = [part(s3, upload, n, content(20 * MIB, n)) for n in (1, 2)]
    json.dump({"upload": upload, "parts": done}, open(file, "w"))


def complete(s3, file):
    saved = json.load(open(file))
    first = s3.complete_multipart_upload(**saved["upload"], MultipartUpload={"Parts": saved["parts"]})
    second = s3.complete_multipart_upload(**saved["upload"], MultipartUpload={"Parts": saved["parts"]})
    check("completing again gives the same object", first["VersionId"], second["VersionId"])
    data = s3.get_object(Bucket="parts", Key="killed")["Body"].read()
    check("it is whole", True, data == content(20 * MIB, 1) + content(20 * MIB, 2))
    versions = s3.list_object_versions(Bucket="parts", Prefix="killed")["Versions"]
    check("and there once", 1, len(versions))


def main():
    s3 = client("s3", *sys.argv[1:4], config=Config(signature_version="s3v4"))
    step = sys.argv[4]
    if step == "all":
        for each in (lists, deletes, bodies, parts, copies, presigned):
            each(s3)
    else:
        {"begin": begin, "complete": complete}[step](s3, sys.argv[5])


main()
