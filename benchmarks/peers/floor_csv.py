"""The least that a worker must do to deliver a proven CSV: libpq's own loop, one SHA-256 of the
file, and the bare upload of its parts. No encoding, no line ends, no threads, nothing else proven.
"""

import hashlib
import os
from collections.abc import Iterator

from botocore.config import Config
from delivery import SPEC, report
from psycopg import pq

PART_BYTES = 8 * 1024 * 1024


def parts() -> Iterator[bytes]:
    """Yield the file's parts."""
    pgconn = pq.PGconn.connect(SPEC["dsn"].encode())
    pgconn.exec_(b"SELECT repeat('x', 280000)")  # libpq's buffer grows, as the worker's
    pgconn.exec_(f"COPY public.{SPEC['table']} TO STDOUT (FORMAT csv, HEADER)".encode())
    messages, filled = [], 0
    while True:
        size, message = pgconn.get_copy_data(0)
        if size < 0:
            break
        messages.append(message)
        filled += size
        if filled >= PART_BYTES:
            yield b"".join(messages)
            messages, filled = [], 0
    yield b"".join(messages)
    pgconn.finish()


def main() -> None:
    """Deliver, and report the CPU seconds since the libraries were imported."""
    import boto3

    s3 = SPEC["s3"]
    client = boto3.client(
        "s3",
        endpoint_url=s3["endpoint_url"],
        region_name=s3["region"],
        aws_access_key_id=s3["access_key"],
        aws_secret_access_key=s3["secret_key"],
        config=Config(request_checksum_calculation="when_required", signature_version="s3v4"),
    )
    # As the worker names parts, so that SeaweedFS does not compress them.
    client.meta.events.register(
        "before-call.s3.UploadPart",
        lambda params, **_: params["headers"].update({"Content-Type": "binary/octet-stream"}),
    )
    # The payload's hash of a signature would be a second one.
    client.meta.events.register(
        "before-sign.s3.UploadPart",
        lambda request, **_: request.context.update({"payload_signing_enabled": False}),
    )
    target = {"Bucket": s3["bucket"], "Key": s3["key"]}
    before = os.times()
    upload = client.create_multipart_upload(**target)["UploadId"]
    digest, sent = hashlib.sha256(), []
    for number, data in enumerate(parts(), start=1):
        digest.update(data)
        answer = client.upload_part(**target, UploadId=upload, PartNumber=number, Body=data)
        sent.append({"PartNumber": number, "ETag": answer["ETag"]})
    client.complete_multipart_upload(**target, UploadId=upload, MultipartUpload={"Parts": sent})
    after = os.times()
    report(floor_cpu=after.user + after.system - before.user - before.system)


if __name__ == "__main__":
    main()
