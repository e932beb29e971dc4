"""A first part that is kept until it is known whether another follows."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from waybill.storage.base import PartReceipt, StoredObject
from waybill.storage.s3 import upload as s3_upload
from waybill.storage.s3.upload import S3Upload

FIRST, SECOND = b"first", b"second"


class OwnEtags:
    """A store whose ETags are none of the bytes'."""

    def __init__(self) -> None:
        self.joined: list[PartReceipt] = []
        self.size = 0

    def begin_upload(self, key: str, content_type: str) -> str:
        return "upload"

    def store_part(
        self, key: str, upload_id: str, number: int, data: bytes, checksum: str
    ) -> dict[str, Any]:
        self.size += len(data)
        return {"ETag": f'"part-{number}"', "ChecksumSHA256": checksum}

    def join_parts(self, key: str, upload_id: str, parts: list[PartReceipt]) -> dict[str, Any]:
        self.joined = parts
        return {"ETag": '"whole"'}

    def put(
        self, key: str, data: bytes, checksum: str, content_type: str, *, is_new: bool
    ) -> dict[str, Any]:
        return {"ETag": '"whole"', "ChecksumSHA256": checksum}

    def find(self, key: str) -> StoredObject:
        return StoredObject(key, self.size, "whole")


def written(upload: S3Upload, number: int, data: bytes) -> PartReceipt:
    return upload.write_part(number, data, hashlib.sha256(data).hexdigest())


def test_kept_part_is_joined_by_the_etag_that_storage_gave_it() -> None:
    client: Any = OwnEtags()
    upload = S3Upload(client, "key", "text/csv")
    receipts = [written(upload, 1, FIRST), written(upload, 2, SECOND)]
    assert upload.complete(receipts).bytes == len(FIRST + SECOND)
    assert [part.etag for part in client.joined] == ["part-1", "part-2"]


def test_object_in_one_request_that_storage_proves_is_hashed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_data: object) -> str:
        raise AssertionError("hashed again")

    monkeypatch.setattr(s3_upload, "_md5", refuse)
    client: Any = OwnEtags()
    upload = S3Upload(client, "key", "text/csv")
    receipt = written(upload, 1, FIRST)
    assert upload.complete([receipt]) == StoredObject("key", len(FIRST), "whole")
