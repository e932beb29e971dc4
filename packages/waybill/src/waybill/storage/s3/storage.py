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
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Self

from botocore.exceptions import ClientError

from waybill.config import Settings
from waybill.errors import StorageRejected
from waybill.references import import_object
from waybill.storage.base import Continuation, StaleUpload, StoredObject
from waybill.storage.disposition import content_disposition
from waybill.storage.s3.answers import check_echo, cut, etag_of, first_byte
from waybill.storage.s3.client import S3Client, S3Options
from waybill.storage.s3.continuation import S3Continuation
from waybill.storage.s3.errors import (
    MISSING_CODES,
    code_of,
    status_of,
    translate,
    translated,
)
from waybill.storage.s3.tags import check_tags
from waybill.storage.s3.upload import S3Upload, begin_upload

_READ_BYTES = 256 * 1024
_MAX_PRESIGN_SECONDS = 60


class S3Storage:
    """Implements ``Storage``. Safe for threads and across a fork: every process makes its own
    client at first use, none is made here."""

    name = "s3"

    def __init__(self, options: S3Options, client: S3Client | None = None) -> None:
        check_tags(options.tags)
        self.options = options
        self.client = client or S3Client(options)
        self.continuation: Continuation = S3Continuation(self.client)

    def labelled(self, *, tenant: str | None, export_type: str) -> Self:
        if not self.options.tags:
            return self
        labels = {"tenant": tenant or "", "export_type": export_type}
        return type(self)(self.options, self.client.labelled(labels))

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        if isinstance(settings.s3_client, str):
            import_object("WAYBILL_S3_CLIENT", settings.s3_client)  # what is wrong, at the start
        key_id, secret = settings.s3_access_key_id, settings.s3_secret_access_key
        return cls(
            S3Options(
                bucket=settings.s3_bucket,
                region=settings.s3_region,
                endpoint_url=str(settings.s3_endpoint_url) if settings.s3_endpoint_url else None,
                access_key_id=key_id.get_secret_value() if key_id else None,
                secret_access_key=secret.get_secret_value() if secret else None,
                addressing=settings.s3_addressing,
                public_endpoint_url=(
                    str(settings.s3_public_endpoint_url)
                    if settings.s3_public_endpoint_url
                    else None
                ),
                encryption=settings.s3_encryption,
                kms_key_id=settings.s3_kms_key_id,
                acl=settings.s3_acl,
                tags=settings.s3_tags,
                client=settings.s3_client,
                checksums=settings.s3_checksums,
            )
        )

    def open_upload(self, key: str, *, content_type: str) -> AbstractContextManager[S3Upload]:
        return begin_upload(self.client, key, content_type)

    def put(self, key: str, data: bytes, *, content_type: str) -> StoredObject:
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        with translated("store an object"):
            answer = self.client.put(key, data, checksum, content_type, is_new=False)
        check_echo(answer, checksum)
        return StoredObject(key, len(data), etag_of(answer))

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        if stop is not None and stop <= start:
            return
        arguments = {}
        if start or stop is not None:
            arguments["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        try:
            with translated("read an object"):
                answer = self._get(key, arguments)
                if answer is None:
                    return
                body = answer["Body"]
                with body:
                    # botocore compares the length, so a cut connection never looks like the end.
                    chunks = body.iter_chunks(_READ_BYTES)
                    # A store, or a proxy before it, that knows no ranges answers with everything.
                    at = first_byte(answer.get("ContentRange"), asked=start)
                    yield from cut(chunks, start - at, None if stop is None else stop - at)
        except OSError as exc:
            if isinstance(exc, FileNotFoundError):
                raise
            raise translate(exc, "read an object") from exc

    def find(self, key: str) -> StoredObject | None:
        return self.client.find(key)

    def modified_at(self, key: str) -> datetime | None:
        return self.client.modified_at(key)

    def delete(self, key: str) -> None:
        self.client.delete(key)

    def presign(
        self, key: str, *, expires_seconds: int, filename: str, content_type: str
    ) -> str | None:
        if not 1 <= expires_seconds <= _MAX_PRESIGN_SECONDS:
            raise ValueError(f"expires_seconds must be 1 to {_MAX_PRESIGN_SECONDS}")
        with translated("sign a link"):
            link: str = self.client.signer.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self.client.bucket,
                    "Key": self.client.prefix + key,
                    "ResponseContentDisposition": content_disposition(filename),
                    "ResponseContentType": content_type,
                    "ResponseCacheControl": "no-store",
                },
                ExpiresIn=expires_seconds,
            )
        return link

    def list_keys(self, prefix: str) -> Iterator[str]:
        pages = self.client.boto3.get_paginator("list_objects_v2")
        with translated("list objects"):
            for page in pages.paginate(
                Bucket=self.client.bucket, Prefix=self.client.prefix + prefix
            ):
                for item in page.get("Contents", ()):
                    yield str(item["Key"]).removeprefix(self.client.prefix)

    def stale_uploads(self, *, older_than: datetime) -> Iterator[StaleUpload]:
        with translated("list uploads"):
            for page in self.client.pages("list_multipart_uploads", ""):
                for item in page.get("Uploads", ()):
                    if item["Initiated"] < older_than:
                        key = str(item["Key"]).removeprefix(self.client.prefix)
                        yield StaleUpload(key, item["UploadId"], item["Initiated"])

    def abort_upload(self, key: str, upload_id: str) -> None:
        self.client.abort_upload(key, upload_id)

    def check(self) -> None:
        with translated("find the bucket"):
            try:
                found = self.client.boto3.head_bucket(Bucket=self.client.bucket)
                self._check_region(found["ResponseMetadata"]["HTTPHeaders"])
            except ClientError as exc:
                # HEAD of a bucket takes the right to list it, which nothing of an export does.
                # Whoever may abort uploads hears that there is none of this name.
                if status_of(exc) != 403:
                    raise
                try:
                    self.client.abort_upload("waybill-check", "none")
                except StorageRejected:
                    raise exc from None

    def _check_region(self, headers: Mapping[str, str]) -> None:
        # boto3 goes by itself to the region that AWS names, and then every upload arrives. A link
        # is made without asking, and would lead to the other region.
        named, ours = headers.get("x-amz-bucket-region"), self.client.boto3.meta.region_name
        if self.options.endpoint_url is None and named not in (None, ours):
            raise StorageRejected(
                f"The bucket is in region {named}, and links would be made for {ours}. "
                "Correct WAYBILL_S3_REGION."
            )

    def warm_up(self) -> None:
        """Make the client now, which takes a few hundred milliseconds; connects to nothing."""
        _ = self.client.boto3

    def _get(self, key: str, arguments: dict[str, str]) -> Any:
        try:
            return self.client.call("get_object", key, **arguments)
        except ClientError as exc:
            if code_of(exc) in MISSING_CODES:
                raise FileNotFoundError(f"There is no object {key!r}.") from exc
            if code_of(exc) == "InvalidRange":
                return None  # the range begins at or past the end: nothing to yield
            raise
