"""Two writers on one upload of a real S3: whatever the one that lost does, no file is mixed."""

from __future__ import annotations

import hashlib
import secrets

import pytest

from waybill.errors import RetryableError, StorageUnavailable
from waybill.local.stack import LocalStack
from waybill.storage.base import PartReceipt
from waybill.storage.s3.continuation import S3Continuation
from waybill.storage.s3.storage import S3Options, S3Storage
from waybill.storage.s3.upload import S3Upload

MIB = 1024 * 1024
FIRST, OTHER, LAST = b"a" * 5 * MIB, b"b" * 5 * MIB, b"the end"


@pytest.fixture
def storage(local_stack: LocalStack) -> S3Storage:
    addresses = local_stack.addresses
    return S3Storage(
        S3Options(
            bucket=addresses.s3_bucket,
            region=addresses.s3_region,
            endpoint_url=addresses.s3_endpoint_url,
            access_key_id=addresses.s3_access_key,
            secret_access_key=addresses.s3_secret_key,
            prefix=f"test-{secrets.token_hex(6)}",
        )
    )


def write(upload: S3Upload, number: int, data: bytes) -> PartReceipt:
    return upload.write_part(number, data, hashlib.sha256(data).hexdigest())


def abandoned(storage: S3Storage) -> tuple[S3Upload, PartReceipt]:
    """An upload whose writer left after its first part."""
    with storage.open_upload("file", content_type="text/plain") as upload:
        upload.is_shared = True
        return upload, write(upload, 1, FIRST)


def test_upload_goes_on_where_its_first_writer_left(storage: S3Storage) -> None:
    first, receipt = abandoned(storage)
    continuation = S3Continuation(storage)
    held = continuation.list_parts("file", first.upload_id)
    assert held is not None
    assert {n: (part.bytes, part.etag) for n, part in held.items()} == {
        1: (receipt.bytes, receipt.etag)
    }
    with continuation.open_upload("file", first.upload_id) as upload:
        stored = upload.complete([receipt, write(upload, 2, LAST)])
    assert b"".join(storage.read("file")) == FIRST + LAST
    assert stored.bytes == len(FIRST + LAST)
    assert continuation.list_parts("file", first.upload_id) is None


def test_part_replaced_by_a_zombie_is_never_in_the_file(storage: S3Storage) -> None:
    zombie, receipt = abandoned(storage)
    with S3Continuation(storage).open_upload("file", zombie.upload_id) as upload:
        last = write(upload, 2, LAST)
        write(zombie, 1, OTHER)  # under the same number, after it was a checkpoint
        try:
            upload.complete([receipt, last])
        except RetryableError:
            # S3 itself: InvalidPart, since the ETag that was named is not the part's any more.
            assert storage.find("file") is None
        else:
            # SeaweedFS keeps both and takes the one whose ETag was named.
            assert b"".join(storage.read("file")) == FIRST + LAST


def test_zombie_cannot_commit_or_spoil_what_its_successor_committed(storage: S3Storage) -> None:
    zombie, receipt = abandoned(storage)
    with S3Continuation(storage).open_upload("file", zombie.upload_id) as upload:
        stored = upload.complete([receipt, write(upload, 2, LAST)])
    with pytest.raises(RetryableError):
        zombie.complete([receipt])
    zombie.abort()
    assert storage.find("file") == stored


def test_first_manifest_stays_and_a_second_writer_hears_of_it(storage: S3Storage) -> None:
    continuation = S3Continuation(storage)
    stored = continuation.put_once("manifest", b"{}", content_type="application/json")
    # Its own answer may have been lost: the same bytes are as good.
    assert continuation.put_once("manifest", b"{}", content_type="application/json") == stored
    with pytest.raises(StorageUnavailable):
        continuation.put_once("manifest", b"{...}", content_type="application/json")
    assert b"".join(storage.read("manifest")) == b"{}"


def test_upload_nobody_knows_has_no_parts(storage: S3Storage) -> None:
    assert S3Continuation(storage).list_parts("file", "0" * 32) is None
