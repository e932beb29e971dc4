"""Objects in S3 or a compatible server.

How a part is proven (measured on SeaweedFS 4.48, boto3 1.44): the SHA-256 that the manifest needs
anyway goes along twice, computed once. As ``x-amz-checksum-sha256`` the server compares it with
what arrived (a wrong one is answered ``BadDigest``), and its echo is compared here. As SigV4's
payload hash it is part of the signature, which AWS verifies too (SeaweedFS does not: it accepted a
wrong one) and which botocore would otherwise hash a second time. ``Content-MD5`` is verified as
well, but MD5 runs at 0.7 GB/s where SHA-256 runs at 1.7. moto verifies none of them.

An object made of parts is proven by its multipart ETag, the MD5 of the parts' MD5s: no byte of
data is hashed for it, and it says that exactly the confirmed parts were joined in order.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import boto3
import botocore.auth
from botocore.config import Config
from botocore.exceptions import ClientError

from waybill.errors import RunError
from waybill.storage.base import PartReceipt, StaleUpload, StoredObject
from waybill.storage.disposition import content_disposition
from waybill.storage.s3.errors import (
    MISSING_CODES,
    code_of,
    translate,
    translated,
)
from waybill.storage.s3.upload import S3Upload, as_base64, check_echo, etag_of

_READ_BYTES = 256 * 1024
_CHECKSUM_HEADER = "x-amz-checksum-sha256"
_SIGNER = "waybill-s3v4"
_MAX_PRESIGN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class S3Options:
    """Where objects live. Keys are kept below ``prefix``, which callers never see.

    Without ``endpoint_url`` it is AWS; without ``access_key_id`` boto3's own credential chain.
    """

    bucket: str
    region: str = "us-east-1"
    endpoint_url: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    prefix: str = ""
    addressing: Literal["auto", "path", "virtual"] | None = None
    """Path style on a custom endpoint and boto3's choice on AWS, unless given."""
    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 60.0


class S3Storage:
    """Implements ``Storage``. Safe for threads and across a fork: every process makes its own
    client at first use, none is made here."""

    name = "s3"

    def __init__(self, options: S3Options) -> None:
        self.options = options
        self._bucket = options.bucket
        self._prefix = f"{options.prefix.strip('/')}/" if options.prefix.strip("/") else ""
        self._lock = threading.Lock()
        self._client: Any = None
        self._client_pid = 0

    @contextmanager
    def open_upload(self, key: str, *, content_type: str) -> Iterator[S3Upload]:
        upload = S3Upload(self, key, content_type)
        try:
            yield upload
            if not upload.is_complete:
                upload.abort()
        except BaseException:
            # The first failure is the one to report; what could not be aborted is swept later.
            with suppress(RunError):
                upload.abort()
            raise

    def put(self, key: str, data: bytes, *, content_type: str) -> StoredObject:
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        with translated("store an object"):
            answer = self._s3().put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=data,
                ContentType=content_type,
                ChecksumSHA256=checksum,
            )
        check_echo(answer, checksum)
        return StoredObject(key, len(data), etag_of(answer))

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        if stop is not None and stop <= start:
            return
        arguments = {"Bucket": self._bucket, "Key": self._prefix + key}
        if start or stop is not None:
            arguments["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        try:
            with translated("read an object"):
                body = self._get(arguments, key)
                if body is None:
                    return
                with body:
                    # botocore compares the length, so a cut connection never looks like the end.
                    yield from body.iter_chunks(_READ_BYTES)
        except OSError as exc:
            if isinstance(exc, FileNotFoundError):
                raise
            raise translate(exc, "read an object") from exc

    def find(self, key: str) -> StoredObject | None:
        with translated("look for an object"):
            try:
                answer = self._s3().head_object(Bucket=self._bucket, Key=self._prefix + key)
            except ClientError as exc:
                if code_of(exc) in MISSING_CODES:
                    return None
                raise
        return StoredObject(key, int(answer["ContentLength"]), etag_of(answer))

    def delete(self, key: str) -> None:
        with translated("delete an object"):
            try:
                self._s3().delete_object(Bucket=self._bucket, Key=self._prefix + key)
            except ClientError as exc:
                if code_of(exc) not in MISSING_CODES:
                    raise

    def presign(
        self, key: str, *, expires_seconds: int, filename: str, content_type: str
    ) -> str | None:
        if not 1 <= expires_seconds <= _MAX_PRESIGN_SECONDS:
            raise ValueError(f"expires_seconds must be 1 to {_MAX_PRESIGN_SECONDS}")
        with translated("sign a link"):
            link: str = self._s3().generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": self._prefix + key,
                    "ResponseContentDisposition": content_disposition(filename),
                    "ResponseContentType": content_type,
                    "ResponseCacheControl": "no-store",
                },
                ExpiresIn=expires_seconds,
            )
        return link

    def list_keys(self, prefix: str) -> Iterator[str]:
        pages = self._s3().get_paginator("list_objects_v2")
        with translated("list objects"):
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for item in page.get("Contents", ()):
                    yield str(item["Key"]).removeprefix(self._prefix)

    def stale_uploads(self, *, older_than: datetime) -> Iterator[StaleUpload]:
        pages = self._s3().get_paginator("list_multipart_uploads")
        with translated("list uploads"):
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
                for item in page.get("Uploads", ()):
                    if item["Initiated"] < older_than:
                        key = str(item["Key"]).removeprefix(self._prefix)
                        yield StaleUpload(key, item["UploadId"], item["Initiated"])

    def abort_upload(self, key: str, upload_id: str) -> None:
        with translated("abort an upload"):
            try:
                self._s3().abort_multipart_upload(
                    Bucket=self._bucket, Key=self._prefix + key, UploadId=upload_id
                )
            except ClientError as exc:
                if code_of(exc) != "NoSuchUpload" and code_of(exc) not in MISSING_CODES:
                    raise

    def check(self) -> None:
        with translated("find the bucket"):
            self._s3().head_bucket(Bucket=self._bucket)

    def warm_up(self) -> None:
        """Make the client now, which takes a few hundred milliseconds; connects to nothing."""
        self._s3()

    def begin_upload(self, key: str, content_type: str) -> str:
        """Begin a multipart upload and return its id; for ``S3Upload``."""
        with translated("begin an upload"):
            answer = self._s3().create_multipart_upload(
                Bucket=self._bucket,
                Key=self._prefix + key,
                ContentType=content_type,
                # AWS takes checksums of parts only when the upload was begun with one.
                ChecksumAlgorithm="SHA256",
            )
        return str(answer["UploadId"])

    def put_new(self, key: str, data: bytes, checksum: str, content_type: str) -> dict[str, Any]:
        """Store an object where there is none yet; for ``S3Upload``."""
        answer: dict[str, Any] = self._s3().put_object(
            Bucket=self._bucket,
            Key=self._prefix + key,
            Body=data,
            ContentType=content_type,
            ChecksumSHA256=checksum,
            # As with a commit of parts: a key belongs to one attempt.
            IfNoneMatch="*",
        )
        return answer

    def call(self, operation: str, key: str, **arguments: Any) -> Any:
        """Call one of boto3's operations on an object; for ``S3Continuation``. Vendor errors."""
        return getattr(self._s3(), operation)(
            Bucket=self._bucket, Key=self._prefix + key, **arguments
        )

    def store_part(
        self, key: str, upload_id: str, number: int, data: bytes | bytearray, checksum: str
    ) -> dict[str, Any]:
        """Send one part; for ``S3Upload``. ``checksum`` is the SHA-256 in base64."""
        answer: dict[str, Any] = self._s3().upload_part(
            Bucket=self._bucket,
            Key=self._prefix + key,
            UploadId=upload_id,
            PartNumber=number,
            Body=data,
            ChecksumSHA256=checksum,
        )
        return answer

    def join_parts(self, key: str, upload_id: str, parts: list[PartReceipt]) -> dict[str, Any]:
        """Ask S3 to commit the parts; for ``S3Upload``."""
        listed = [
            {
                "PartNumber": part.number,
                "ETag": f'"{part.etag}"',
                # Required of an upload that was begun with checksums.
                "ChecksumSHA256": as_base64(part.sha256),
            }
            for part in parts
        ]
        answer: dict[str, Any] = self._s3().complete_multipart_upload(
            Bucket=self._bucket,
            Key=self._prefix + key,
            UploadId=upload_id,
            MultipartUpload={"Parts": listed},
            # A key belongs to one attempt, so whatever already stands there is not to be replaced.
            IfNoneMatch="*",
        )
        return answer

    def _get(self, arguments: dict[str, str], key: str) -> Any:
        try:
            return self._s3().get_object(**arguments)["Body"]
        except ClientError as exc:
            if code_of(exc) in MISSING_CODES:
                raise FileNotFoundError(f"There is no object {key!r}.") from exc
            if code_of(exc) == "InvalidRange":
                return None  # the range begins at or past the end: nothing to yield
            raise

    def _s3(self) -> Any:
        if self._client is None or self._client_pid != os.getpid():
            with self._lock:
                if self._client is None or self._client_pid != os.getpid():
                    self._client = _create_client(self.options)
                    self._client_pid = os.getpid()
        return self._client


class _PrehashedS3Auth(botocore.auth.S3SigV4Auth):  # type: ignore[misc]
    """SigV4 that takes the payload's hash from the checksum header instead of hashing again."""

    def payload(self, request: Any) -> str:
        checksum = request.headers.get(_CHECKSUM_HEADER)
        if checksum is None:
            inherited: str = super().payload(request)
            return inherited
        return base64.b64decode(checksum).hex()


def _create_client(options: S3Options) -> Any:
    is_custom = options.endpoint_url is not None
    addressing = options.addressing or ("path" if is_custom else "auto")
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=options.endpoint_url,
        region_name=options.region,
        aws_access_key_id=options.access_key_id,
        aws_secret_access_key=options.secret_access_key,
        config=Config(
            # Also for presigned links, which are SigV2 in some regions by default.
            signature_version="s3v4",
            connect_timeout=options.connect_timeout_seconds,
            read_timeout=options.read_timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": 3},
            tcp_keepalive=True,
            # boto3 >= 1.36 adds checksums on its own, in a form many compatible servers refuse.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": addressing},
            user_agent_appid="waybill",
        ),
    )
    # The name is ours alone, so no other client in the process signs differently for it.
    botocore.auth.AUTH_TYPE_MAPS[_SIGNER] = _PrehashedS3Auth
    for operation in ("UploadPart", "PutObject"):
        client.meta.events.register(f"choose-signer.s3.{operation}", _choose_signer)
    client.meta.events.register("before-call.s3.UploadPart", _name_part_type)
    return client


def _name_part_type(params: dict[str, Any], **_: object) -> None:
    # S3's own name for bytes of no type, which a part is: the object's type is given when the
    # upload begins, and AWS ignores this one. SeaweedFS, left to guess, finds text in a part and
    # gzips it, at a third of its CPU time (ADR-0008); and so it does for application/octet-stream.
    params["headers"]["Content-Type"] = "binary/octet-stream"


def _choose_signer(signature_version: str, **_: object) -> str | None:
    # Others (SigV4A, S3 Express) sign in their own way and are left alone.
    return _SIGNER if signature_version == "s3v4" else None
