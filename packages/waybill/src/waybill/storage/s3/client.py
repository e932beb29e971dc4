"""boto3's client for one bucket: how it is made, and the calls of an upload.

It adds the prefix to every key, so that no caller can reach outside of it. Every process makes its
own client at first use. Answers and errors are boto3's; ``errors.translated`` translates them.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Self

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from waybill.errors import ConfigurationError, StorageRejected, StorageUnavailable
from waybill.references import import_object
from waybill.storage.base import PartReceipt, StoredObject
from waybill.storage.s3 import signing
from waybill.storage.s3.answers import as_base64, etag_of, size_of
from waybill.storage.s3.errors import (
    MISSING_CODES,
    VERSIONS_STAY,
    code_of,
    is_unknown,
    status_of,
    translated,
)
from waybill.storage.s3.signing import StorageClock
from waybill.storage.s3.tags import tagging

_FORBIDDEN = 403
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
    acl: str | None = None
    """A canned ACL, as S3 calls them."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of every object; ``{tenant}`` and ``{export_type}`` stand for the export's."""
    client: Any = None
    """A boto3 session, a function like ``boto3.client``, or the ``package.module:attribute`` of
    either."""
    checksums: Literal["auto", "always", "never"] = "auto"
    """Whether SHA-256 goes along as ``x-amz-checksum-*``; ``auto``: until they are refused."""
    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 60.0


@dataclass(slots=True)
class _State:
    """What is found out and made once, for all that share a client."""

    takes_checksums: bool
    takes_conditions: bool = True
    keeps_versions: bool = False
    client: Any = None
    client_pid: int = 0
    signer: Any = None
    signer_pid: int = 0


class S3Client:
    """Calls on the objects of one bucket. Safe for threads and across a fork."""

    def __init__(self, options: S3Options) -> None:
        self.options = options
        self.bucket = options.bucket
        self.prefix = f"{options.prefix.strip('/')}/" if options.prefix.strip("/") else ""
        self._lock = threading.Lock()
        self._state = _State(takes_checksums=options.checksums != "never")
        self._labels: Mapping[str, str] = {}
        self.clock = StorageClock()

    def labelled(self, labels: Mapping[str, str]) -> Self:
        """Return the same client for objects whose tags say ``labels``."""
        same = copy.copy(self)
        same._labels = labels
        return same

    @property
    def creation(self) -> dict[str, Any]:
        """The arguments of what creates an object by which its encryption, its ACL and its tags are
        asked for."""
        options = self.options
        wanted = {
            "ServerSideEncryption": options.encryption,
            "SSEKMSKeyId": options.kms_key_id if options.encryption else None,
            "ACL": options.acl,
            "Tagging": tagging(options.tags, self._labels),
        }
        return {name: value for name, value in wanted.items() if value}

    @property
    def signer(self) -> Any:
        """boto3's client that signs links, for where clients reach the storage."""
        public = self.options.public_endpoint_url
        if public is None:
            return self.boto3
        if self._state.signer is None or self._state.signer_pid != os.getpid():
            options = dataclasses.replace(self.options, endpoint_url=public)
            with self._lock:
                self._state.signer = _create_client(options, self.clock)
                self._state.signer_pid = os.getpid()
        return self._state.signer

    def call(self, operation: str, key: str, **arguments: Any) -> Any:
        """Call one of boto3's operations on an object."""
        call = getattr(self.boto3, operation)
        offset = self.clock.offset
        try:
            return call(Bucket=self.bucket, Key=self.prefix + key, **arguments)
        except ClientError as exc:
            # The answer said what time it is there, and the next request is dated by that.
            if status_of(exc) != _FORBIDDEN or self.clock.offset == offset:
                raise
        return call(Bucket=self.bucket, Key=self.prefix + key, **arguments)

    def pages(self, operation: str, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield the pages of one of boto3's listings, below our prefix."""
        paginator = self.boto3.get_paginator(operation)
        yield from paginator.paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)

    def begin_upload(self, key: str, content_type: str) -> str:
        """Begin a multipart upload and return its id."""

        def arguments(takes_checksums: bool) -> dict[str, Any]:
            # AWS takes checksums of parts only when the upload was begun with one.
            return {"ChecksumAlgorithm": "SHA256"} if takes_checksums else {}

        with translated("begin an upload"):
            answer = self._call_in_dialect(
                "create_multipart_upload",
                key,
                arguments,
                ContentType=content_type,
                **self.creation,
            )
        if "UploadId" not in answer:
            raise StorageUnavailable(
                "S3 answered without an upload's id. Something else may answer in its place, such "
                "as a proxy before it; it is tried again."
            )
        return str(answer["UploadId"])

    def put(
        self, key: str, data: bytes, checksum: str, content_type: str, *, is_new: bool
    ) -> dict[str, Any]:
        """Store an object in one request; where ``is_new``, only if there is none yet.
        ``checksum`` is the SHA-256 in base64."""
        return self._call_in_dialect(
            "put_object",
            key,
            lambda takes_checksums: {"ChecksumSHA256": checksum} if takes_checksums else {},
            is_new=is_new,
            Body=data,
            ContentType=content_type,
            **self.creation,
        )

    def store_part(
        self, key: str, upload_id: str, number: int, data: bytes | bytearray, checksum: str
    ) -> dict[str, Any]:
        """Send one part. ``checksum`` is the SHA-256 in base64."""
        return self._call_in_dialect(
            "upload_part",
            key,
            lambda takes_checksums: {"ChecksumSHA256": checksum} if takes_checksums else {},
            UploadId=upload_id,
            PartNumber=number,
            Body=data,
        )

    def join_parts(self, key: str, upload_id: str, parts: list[PartReceipt]) -> dict[str, Any]:
        """Ask S3 to commit the parts."""

        def arguments(takes_checksums: bool) -> dict[str, Any]:
            listed = [
                {
                    "PartNumber": part.number,
                    "ETag": f'"{part.etag}"',
                    # Required of an upload that was begun with checksums.
                    **({"ChecksumSHA256": as_base64(part.sha256)} if takes_checksums else {}),
                }
                for part in parts
            ]
            return {"MultipartUpload": {"Parts": listed}}

        return self._call_in_dialect(
            "complete_multipart_upload", key, arguments, is_new=True, UploadId=upload_id
        )

    def _call_in_dialect(
        self,
        operation: str,
        key: str,
        by_checksums: Callable[[bool], dict[str, Any]],
        *,
        is_new: bool = False,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Call what writes, without what this store turns out not to know.

        ``is_new``: a key belongs to one attempt, so whatever already stands there is not to be
        replaced. ``by_checksums`` gives the arguments with checksums, and without them.
        """
        while True:
            takes_checksums = self._state.takes_checksums
            takes_conditions = is_new and self._state.takes_conditions
            if is_new and not takes_conditions and self.find(key) is not None:
                # Keys are drawn at random, so that looking first is all that can be done, and
                # enough.
                raise _already_there(operation)
            condition = {"IfNoneMatch": "*"} if takes_conditions else {}
            try:
                answer: dict[str, Any] = self.call(
                    operation, key, **by_checksums(takes_checksums), **condition, **arguments
                )
            except ClientError as exc:
                if takes_conditions and status_of(exc) == _NOT_IMPLEMENTED:
                    self._state.takes_conditions = False
                elif takes_checksums and self.options.checksums == "auto" and is_unknown(exc):
                    return self._call_without_checksums(
                        exc, operation, key, condition | {**by_checksums(False), **arguments}
                    )
                else:
                    raise
            else:
                return answer

    def _call_without_checksums(
        self, refusal: ClientError, operation: str, key: str, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self.call(operation, key, **arguments)
        except ClientError:
            raise refusal from None  # it was about something else
        self._state.takes_checksums = False
        return answer

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
        return StoredObject(key, size_of(answer), etag_of(answer))

    def modified_at(self, key: str) -> datetime | None:
        with translated("look for an object"):
            try:
                answer = self.call("head_object", key)
            except ClientError as exc:
                if code_of(exc) in MISSING_CODES:
                    return None
                raise
        # Where a proxy takes it away: the object is there, and past no time of grace.
        found: datetime = answer.get("LastModified") or datetime.now(UTC)
        return found

    def delete(self, key: str) -> None:
        """Delete an object, and whatever versions of it a bucket keeps.

        Raises:
            StorageRejected: versions stay, since these credentials may not delete them.
        """
        with translated("delete an object"):
            if not self._state.keeps_versions or self.find(key) is not None:
                try:
                    answer = self.call("delete_object", key)
                except ClientError as exc:
                    if code_of(exc) not in MISSING_CODES:
                        raise
                    return
                # Of a bucket that keeps versions, or kept them once: nothing was deleted.
                self._state.keeps_versions |= bool(
                    answer.get("DeleteMarker") or answer.get("VersionId")
                )
            if not self._state.keeps_versions:
                return
            try:
                for page in self.pages("list_object_versions", key):
                    for version in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
                        if version["Key"] == self.prefix + key:
                            self.call("delete_object", key, VersionId=version["VersionId"])
            except ClientError as exc:
                if status_of(exc) == _FORBIDDEN:
                    raise StorageRejected(VERSIONS_STAY) from exc
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
        if self._state.client is None or self._state.client_pid != os.getpid():
            with self._lock:
                if self._state.client is None or self._state.client_pid != os.getpid():
                    self._state.client = _create_client(self.options, self.clock)
                    self._state.client_pid = os.getpid()
        return self._state.client


def _already_there(operation: str) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": "PreconditionFailed", "Message": "There is one."},
            "ResponseMetadata": {"HTTPStatusCode": 412},
        },
        operation,
    )


def _create_client(options: S3Options, clock: StorageClock) -> Any:
    is_custom = options.endpoint_url is not None
    addressing = options.addressing or ("path" if is_custom else "auto")
    arguments: dict[str, Any] = {
        "endpoint_url": options.endpoint_url,
        "region_name": options.region,
        "aws_access_key_id": options.access_key_id,
        "aws_secret_access_key": options.secret_access_key,
        "config": Config(
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
    }
    client = (
        boto3.session.Session().client("s3", **arguments)
        if options.client is None
        else _make_client(options.client, arguments)
    )
    signing.install(client, clock)
    client.meta.events.register("before-call.s3.UploadPart", _name_part_type)
    return client


def _make_client(given: Any, arguments: dict[str, Any]) -> Any:
    """Return a client of the application's session, or what its function makes: of our own, since
    events are registered on it, and signed and checked as ours."""
    found: Any = import_object("WAYBILL_S3_CLIENT", given) if isinstance(given, str) else given
    make = getattr(found, "client", found)
    stated = {name: value for name, value in arguments.items() if value is not None}
    client = make("s3", **stated) if callable(make) else None
    model = getattr(getattr(client, "meta", None), "service_model", None)
    if getattr(model, "service_name", None) != "s3":
        raise ConfigurationError(
            f"WAYBILL_S3_CLIENT {given!r} gives no client of S3. Point it at a boto3 session, "
            "or at a function that takes what boto3.client takes."
        )
    return client


def _name_part_type(params: dict[str, Any], **_: object) -> None:
    # S3's own name for bytes of no type, which a part is: the object's type is given when the
    # upload begins, and AWS ignores this one. SeaweedFS, left to guess, finds text in a part and
    # gzips it, at a third of its CPU time (ADR-0008); and so it does for application/octet-stream.
    params["headers"]["Content-Type"] = "binary/octet-stream"
