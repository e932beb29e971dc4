"""boto3's client for one bucket: how it is made, how it signs, and the calls of an upload.

It adds the prefix to every key, so that no caller can reach outside of it. Every process makes its
own client at first use. Answers and errors are boto3's; ``errors.translated`` translates them.
"""

from __future__ import annotations

import base64
import dataclasses
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import boto3
import botocore.auth
from botocore.config import Config
from botocore.exceptions import ClientError

from waybill.storage.base import PartReceipt, StoredObject
from waybill.storage.s3.answers import as_base64, etag_of
from waybill.storage.s3.errors import MISSING_CODES, code_of, status_of, translated

_CHECKSUM_HEADER = "x-amz-checksum-sha256"
_SIGNER = "waybill-s3v4"
_NOT_IMPLEMENTED = 501


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
    public_endpoint_url: str | None = None
    """Where links lead, if not to ``endpoint_url``."""
    encryption: Literal["AES256", "aws:kms"] | None = None
    kms_key_id: str | None = field(default=None, repr=False)
    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 60.0


class S3Client:
    """Calls on the objects of one bucket. Safe for threads and across a fork."""

    def __init__(self, options: S3Options) -> None:
        self.options = options
        self.bucket = options.bucket
        self.prefix = f"{options.prefix.strip('/')}/" if options.prefix.strip("/") else ""
        self._lock = threading.Lock()
        self._client: Any = None
        self._client_pid = 0
        self._signer: Any = None
        self._signer_pid = 0
        self._takes_conditions = True

    @property
    def encryption(self) -> dict[str, str]:
        """The arguments of what creates an object by which its encryption is asked for."""
        if self.options.encryption is None:
            return {}
        key = self.options.kms_key_id
        return {
            "ServerSideEncryption": self.options.encryption,
            **({"SSEKMSKeyId": key} if key else {}),
        }

    @property
    def signer(self) -> Any:
        """boto3's client that signs links, for where clients reach the storage."""
        public = self.options.public_endpoint_url
        if public is None:
            return self.boto3
        if self._signer is None or self._signer_pid != os.getpid():
            options = dataclasses.replace(self.options, endpoint_url=public)
            with self._lock:
                self._signer, self._signer_pid = _create_client(options), os.getpid()
        return self._signer

    def call(self, operation: str, key: str, **arguments: Any) -> Any:
        """Call one of boto3's operations on an object."""
        return getattr(self.boto3, operation)(
            Bucket=self.bucket, Key=self.prefix + key, **arguments
        )

    def pages(self, operation: str, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield the pages of one of boto3's listings, below our prefix."""
        paginator = self.boto3.get_paginator(operation)
        yield from paginator.paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)

    def begin_upload(self, key: str, content_type: str) -> str:
        """Begin a multipart upload and return its id."""
        with translated("begin an upload"):
            answer = self.call(
                "create_multipart_upload",
                key,
                ContentType=content_type,
                **self.encryption,
                # AWS takes checksums of parts only when the upload was begun with one.
                ChecksumAlgorithm="SHA256",
            )
        return str(answer["UploadId"])

    def put_new(self, key: str, data: bytes, checksum: str, content_type: str) -> dict[str, Any]:
        """Store an object where there is none yet."""
        return self._call_for_new(
            "put_object",
            key,
            Body=data,
            ContentType=content_type,
            ChecksumSHA256=checksum,
            **self.encryption,
        )

    def store_part(
        self, key: str, upload_id: str, number: int, data: bytes | bytearray, checksum: str
    ) -> dict[str, Any]:
        """Send one part. ``checksum`` is the SHA-256 in base64."""
        answer: dict[str, Any] = self.call(
            "upload_part",
            key,
            UploadId=upload_id,
            PartNumber=number,
            Body=data,
            ChecksumSHA256=checksum,
        )
        return answer

    def join_parts(self, key: str, upload_id: str, parts: list[PartReceipt]) -> dict[str, Any]:
        """Ask S3 to commit the parts."""
        listed = [
            {
                "PartNumber": part.number,
                "ETag": f'"{part.etag}"',
                # Required of an upload that was begun with checksums.
                "ChecksumSHA256": as_base64(part.sha256),
            }
            for part in parts
        ]
        return self._call_for_new(
            "complete_multipart_upload",
            key,
            UploadId=upload_id,
            MultipartUpload={"Parts": listed},
        )

    def _call_for_new(self, operation: str, key: str, **arguments: Any) -> dict[str, Any]:
        """Call what makes an object where there is none: a key belongs to one attempt, so whatever
        already stands there is not to be replaced."""
        if self._takes_conditions:
            try:
                answer: dict[str, Any] = self.call(operation, key, IfNoneMatch="*", **arguments)
            except ClientError as exc:
                if status_of(exc) != _NOT_IMPLEMENTED:
                    raise
                self._takes_conditions = False
            else:
                return answer
        # Keys are drawn at random, so that looking first is all that can be done, and enough.
        if self.find(key) is not None:
            raise ClientError(
                {
                    "Error": {"Code": "PreconditionFailed", "Message": "There is one."},
                    "ResponseMetadata": {"HTTPStatusCode": 412},
                },
                operation,
            )
        made: dict[str, Any] = self.call(operation, key, **arguments)
        return made

    def find(self, key: str) -> StoredObject | None:
        with translated("look for an object"):
            try:
                answer = self.call(
                    "head_object",
                    key,
                )
            except ClientError as exc:
                if code_of(exc) in MISSING_CODES:
                    return None
                raise
        return StoredObject(key, int(answer["ContentLength"]), etag_of(answer))

    def modified_at(self, key: str) -> datetime | None:
        with translated("look for an object"):
            try:
                answer = self.call("head_object", key)
            except ClientError as exc:
                if code_of(exc) in MISSING_CODES:
                    return None
                raise
        found: datetime = answer["LastModified"]
        return found

    def delete(self, key: str) -> None:
        with translated("delete an object"):
            try:
                self.call(
                    "delete_object",
                    key,
                )
            except ClientError as exc:
                if code_of(exc) not in MISSING_CODES:
                    raise

    def abort_upload(self, key: str, upload_id: str) -> None:
        with translated("abort an upload"):
            try:
                self.call("abort_multipart_upload", key, UploadId=upload_id)
            except ClientError as exc:
                if code_of(exc) != "NoSuchUpload" and code_of(exc) not in MISSING_CODES:
                    raise

    @property
    def boto3(self) -> Any:
        """boto3's own client, of this process."""
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
