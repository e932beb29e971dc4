"""The contract of ``Continuation``: what resumable exports rely on in storages that have one."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from waybill.errors import RetryableError, RunError, StorageUnavailable
from waybill.storage.base import Continuation, HeldPart, PartReceipt, SharedUpload, Storage

PART = os.urandom(5 * 1024 * 1024)


def send(upload: SharedUpload, number: int, data: bytes) -> PartReceipt:
    return upload.write_part(number, data, hashlib.sha256(data).hexdigest())


@pytest.fixture
def continuation(continuable: Storage) -> Continuation:
    assert continuable.continuation is not None
    return continuable.continuation


def begin(continuation: Continuation, key: str = "file") -> tuple[str, list[PartReceipt]]:
    """Two parts of an upload whose process is gone."""
    with continuation.begin_upload(key, content_type="text/csv") as upload:
        receipts = [send(upload, 1, PART), send(upload, 2, PART[::-1])]
        upload.share()
    return upload.upload_id, receipts


def test_every_continuation_is_under_contract(storage: Storage) -> None:
    assert (storage.continuation is not None) == (storage.name in {"s3", "directory"})


def test_upload_that_was_shared_is_gone_on_with(
    continuable: Storage, continuation: Continuation
) -> None:
    upload_id, receipts = begin(continuation)

    held = continuation.list_parts("file", upload_id)
    with continuation.open_upload("file", upload_id) as upload:
        assert upload.is_shared
        stored = upload.complete([*receipts, send(upload, 3, b"the end")])

    assert held == {part.number: HeldPart(part.bytes, part.etag) for part in receipts}
    assert b"".join(continuable.read("file")) == PART + PART[::-1] + b"the end"
    assert continuable.find("file") == stored
    assert continuation.list_parts("file", upload_id) is None


def test_shared_upload_outlives_an_exception(continuation: Continuation) -> None:
    uploads: list[SharedUpload] = []

    def fail() -> None:
        with continuation.begin_upload("file", content_type="text/csv") as upload:
            uploads.append(upload)
            send(upload, 1, PART)
            send(upload, 2, b"rest")
            upload.share()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    held = continuation.list_parts("file", uploads[0].upload_id)
    assert held is not None
    assert sorted(held) == [1, 2]


def test_upload_that_is_not_shared_is_aborted(continuation: Continuation) -> None:
    with continuation.begin_upload("file", content_type="text/csv") as upload:
        send(upload, 1, PART)
        send(upload, 2, b"rest")

    assert continuation.list_parts("file", upload.upload_id) is None


def test_part_replaced_by_a_zombie_is_never_in_the_file(
    continuable: Storage, continuation: Continuation
) -> None:
    upload_id, receipts = begin(continuation)
    with continuation.open_upload("file", upload_id) as zombie:
        send(zombie, 2, PART)  # under the same number, after it was a checkpoint

    with continuation.open_upload("file", upload_id) as upload:
        try:
            upload.complete(receipts)
        except RunError:
            assert continuable.find("file") is None
        else:
            # SeaweedFS keeps both and takes the one whose ETag was named.
            assert b"".join(continuable.read("file")) == PART + PART[::-1]


def test_zombie_cannot_commit_or_spoil_what_its_successor_committed(
    continuable: Storage, continuation: Continuation
) -> None:
    with continuation.begin_upload("file", content_type="text/csv") as zombie:
        receipts = [send(zombie, 1, PART), send(zombie, 2, b"rest")]
        zombie.share()
    with continuation.open_upload("file", zombie.upload_id) as upload:
        stored = upload.complete(receipts)

    with pytest.raises(RetryableError):
        zombie.complete(receipts[:1])
    zombie.abort()

    assert continuable.find("file") == stored


def test_upload_ends_once(continuable: Storage, continuation: Continuation) -> None:
    upload_id, receipts = begin(continuation)
    with continuation.open_upload("file", upload_id) as upload:
        upload.complete(receipts)

    with continuation.open_upload("file", upload_id) as late, pytest.raises(RunError):
        send(late, 3, PART)

    assert b"".join(continuable.read("file")) == PART + PART[::-1]


def test_aborted_and_unknown_uploads_are_not_open(
    continuable: Storage, continuation: Continuation
) -> None:
    upload_id, _ = begin(continuation)
    (stale,) = continuable.stale_uploads(older_than=datetime.now(UTC) + timedelta(days=1))
    assert (stale.key, stale.upload_id) == ("file", upload_id)

    continuable.abort_upload("file", upload_id)

    assert continuation.list_parts("file", upload_id) is None
    assert continuation.list_parts("file", uuid4().hex) is None


def test_put_once_takes_the_first_and_the_same_again(
    continuable: Storage, continuation: Continuation
) -> None:
    first = continuation.put_once("m.json", b"{}", content_type="application/json")
    again = continuation.put_once("m.json", b"{}", content_type="application/json")

    with pytest.raises(StorageUnavailable):
        continuation.put_once("m.json", b"[]", content_type="application/json")

    assert first == again == continuable.find("m.json")
    assert b"".join(continuable.read("m.json")) == b"{}"
