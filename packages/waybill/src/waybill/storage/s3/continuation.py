"""Going on with an upload that another process began.

Two writers can meet on such an upload: the one that holds the job, and one that lost it and does
not know yet. S3 itself keeps them apart: Complete names the ETag of every part, so a part that was
replaced is refused; an upload ends once; and what is written beside the object is written only
where nothing stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from botocore.exceptions import ClientError

from waybill.errors import StorageUnavailable
from waybill.storage.base import HeldPart, StoredObject
from waybill.storage.s3.answers import as_base64, check_echo, etag_of
from waybill.storage.s3.client import S3Client
from waybill.storage.s3.errors import MISSING_CODES, code_of, translated
from waybill.storage.s3.upload import S3Upload, begin_upload

_GONE_CODES = MISSING_CODES | {"NoSuchUpload"}
_TAKEN_CODES = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


class S3Continuation:
    """Implements ``Continuation``. Safe for threads and across a fork."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def list_parts(self, key: str, upload_id: str) -> Mapping[int, HeldPart] | None:
        """Return the parts of an open upload by number; ``None`` if it is not open any more."""
        held: dict[int, HeldPart] = {}
        marker = 0
        with translated("list an upload's parts"):
            while True:
                try:
                    page = self._client.call(
                        "list_parts", key, UploadId=upload_id, PartNumberMarker=marker
                    )
                except ClientError as exc:
                    if code_of(exc) in _GONE_CODES:
                        return None
                    raise
                for part in page.get("Parts", ()):
                    held[part["PartNumber"]] = HeldPart(part["Size"], part["ETag"].strip('"'))
                if not page.get("IsTruncated"):
                    return held
                marker = page["NextPartNumberMarker"]

    def begin_upload(self, key: str, *, content_type: str) -> AbstractContextManager[S3Upload]:
        return begin_upload(self._client, key, content_type)

    @contextmanager
    def open_upload(self, key: str, upload_id: str) -> Iterator[S3Upload]:
        """Resume an upload. Leaving the block aborts nothing (see ``S3Upload.is_shared``).

        What is committed has to be read back: how the parts written elsewhere were encrypted, and
        so whether their ETags are digests, is not known here.
        """
        upload = S3Upload(self._client, key, content_type="")
        upload.upload_id = upload_id
        upload.is_shared = upload.is_continued = True
        yield upload

    def put_once(self, key: str, data: bytes, *, content_type: str) -> StoredObject:
        """Store a small object where none stands; the same bytes there already are as good.

        Raises:
            StorageUnavailable: another writer was first. The attempt begins anew, elsewhere.
        """
        with translated("store an object"):
            try:
                checksum = as_base64(hashlib.sha256(data).hexdigest())
                answer = self._client.put(key, data, checksum, content_type, is_new=True)
                check_echo(answer, checksum)
            except ClientError as exc:
                if code_of(exc) not in _TAKEN_CODES:
                    raise
                if self._client.call("get_object", key)["Body"].read() != data:
                    raise StorageUnavailable(
                        "Another attempt has stored its manifest here already."
                    ) from exc
                found = self._client.find(key)
                if found is None:
                    raise StorageUnavailable("The manifest was there and is gone.") from exc
                return found
        return StoredObject(key, len(data), etag_of(answer))
