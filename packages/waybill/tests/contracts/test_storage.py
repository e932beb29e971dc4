"""The contract of ``Storage``: what the pipeline, the API and the sweeper rely on."""

from __future__ import annotations

import hashlib
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import Message

import pytest

from waybill.errors import RunError
from waybill.storage.base import PartReceipt, Storage, StoredObject, Upload
from waybill.storage.registry import STORAGES

FIVE_MIB = 5 * 1024 * 1024
LATER = timedelta(days=1)


def send(upload: Upload, number: int, data: bytes) -> PartReceipt:
    return upload.write_part(number, data, hashlib.sha256(data).hexdigest())


def store(storage: Storage, key: str, *parts: bytes) -> StoredObject:
    with storage.open_upload(key, content_type="text/csv; charset=utf-8") as upload:
        return upload.complete([send(upload, n, part) for n, part in enumerate(parts, start=1)])


def open_uploads(storage: Storage) -> list[str]:
    return [upload.key for upload in storage.stale_uploads(older_than=datetime.now(UTC) + LATER)]


def test_every_storage_of_the_registry_is_under_contract(storage_names: set[str]) -> None:
    assert set(STORAGES) == storage_names


@pytest.mark.cell("SeaweedFS 4", "multipart")
def test_parts_become_one_object_in_order(storage: Storage) -> None:
    first, second = os.urandom(FIVE_MIB), b"the rest"

    with storage.open_upload("a/b", content_type="text/csv") as upload:
        last = send(upload, 2, second)
        receipts = [send(upload, 1, first), last]
        stored = upload.complete(receipts)

    assert (stored.key, stored.bytes) == ("a/b", len(first) + len(second))
    assert b"".join(storage.read("a/b")) == first + second
    assert storage.find("a/b") == stored
    committed_at = storage.modified_at("a/b")
    assert committed_at is not None
    assert abs(datetime.now(UTC) - committed_at) < timedelta(minutes=10)
    assert [(r.number, r.bytes, r.sha256) for r in receipts] == [
        (1, FIVE_MIB, hashlib.sha256(first).hexdigest()),
        (2, len(second), hashlib.sha256(second).hexdigest()),
    ]


def test_parts_may_be_written_from_several_threads(storage: Storage) -> None:
    parts = [os.urandom(FIVE_MIB) for _ in range(4)]
    receipts: list[PartReceipt] = []
    with storage.open_upload("threads", content_type="text/csv") as upload:
        threads = [
            threading.Thread(target=lambda n=n: receipts.append(send(upload, n + 1, parts[n])))
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        upload.complete(sorted(receipts, key=lambda receipt: receipt.number))

    assert b"".join(storage.read("threads")) == b"".join(parts)


def test_bytearray_is_accepted_as_a_part(storage: Storage) -> None:
    data = bytearray(b"changing")

    with storage.open_upload("array", content_type="text/csv") as upload:
        receipt = upload.write_part(1, data, hashlib.sha256(data).hexdigest())
        upload.complete([receipt])

    assert b"".join(storage.read("array")) == b"changing"


def test_empty_part_makes_an_empty_object(storage: Storage) -> None:
    assert store(storage, "empty", b"").bytes == 0
    assert b"".join(storage.read("empty")) == b""


def test_nothing_is_visible_before_complete(storage: Storage) -> None:
    with storage.open_upload("hidden", content_type="text/csv") as upload:
        send(upload, 1, os.urandom(FIVE_MIB))
        assert storage.find("hidden") is None
        assert list(storage.list_keys("")) == []
        assert open_uploads(storage) == ["hidden"]


def test_small_object_is_not_visible_before_complete(storage: Storage) -> None:
    with storage.open_upload("small", content_type="text/csv") as upload:
        receipt = send(upload, 1, b"data")
        assert storage.find("small") is None
        assert list(storage.list_keys("")) == []
        stored = upload.complete([receipt])

    assert stored == storage.find("small")
    assert open_uploads(storage) == []


def test_exception_in_the_block_leaves_nothing(storage: Storage) -> None:
    def fail_midway() -> None:
        with storage.open_upload("broken", content_type="text/csv") as upload:
            send(upload, 1, os.urandom(FIVE_MIB))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_midway()

    assert storage.find("broken") is None
    assert open_uploads(storage) == []


def test_block_left_without_complete_leaves_nothing(storage: Storage) -> None:
    with storage.open_upload("forgotten", content_type="text/csv") as upload:
        send(upload, 1, b"data")

    assert storage.find("forgotten") is None
    assert open_uploads(storage) == []


def test_abort_twice_is_no_error(storage: Storage) -> None:
    with storage.open_upload("twice", content_type="text/csv") as upload:
        upload.abort()
        upload.abort()


def test_second_commit_to_a_key_does_not_replace_the_first(storage: Storage) -> None:
    store(storage, "once", b"first")

    with pytest.raises(RunError):
        store(storage, "once", b"second, and longer")

    assert b"".join(storage.read("once")) == b"first"
    assert open_uploads(storage) == []


@pytest.mark.cell("SeaweedFS 4", "abort")
def test_stale_upload_is_found_by_age_and_aborted(storage: Storage) -> None:
    with storage.open_upload("stale", content_type="text/csv") as upload:
        send(upload, 1, os.urandom(FIVE_MIB))
        now = datetime.now(UTC)
        assert list(storage.stale_uploads(older_than=now - LATER)) == []
        (found,) = storage.stale_uploads(older_than=now + LATER)
        assert (found.key, found.upload_id) == ("stale", upload.upload_id)
        storage.abort_upload(found.key, found.upload_id)
        storage.abort_upload(found.key, found.upload_id)
        assert open_uploads(storage) == []


def test_small_object_is_put_and_read(storage: Storage) -> None:
    stored = storage.put("note.json", b'{"a":1}', content_type="application/json")

    assert stored == storage.find("note.json")
    assert b"".join(storage.read("note.json")) == b'{"a":1}'


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, None), (0, 1), (3, 7), (7, None), (9, 10), (10, None), (99, None), (5, 5), (8, 99)],
)
@pytest.mark.cell("SeaweedFS 4", "range")
def test_ranges_are_those_of_a_slice(storage: Storage, start: int, stop: int | None) -> None:
    storage.put("digits", b"0123456789", content_type="text/plain")

    assert b"".join(storage.read("digits", start=start, stop=stop)) == b"0123456789"[start:stop]


def test_missing_object_is_told(storage: Storage) -> None:
    assert storage.find("nothing") is None
    with pytest.raises(FileNotFoundError):
        next(storage.read("nothing"))


def test_delete_is_repeatable(storage: Storage) -> None:
    storage.put("gone", b"x", content_type="text/plain")

    storage.delete("gone")
    storage.delete("gone")

    assert storage.find("gone") is None
    assert storage.modified_at("gone") is None


def test_keys_are_listed_by_prefix(storage: Storage) -> None:
    for key in ("a/1", "a/2", "ab", "b/ünï code+&?"):
        storage.put(key, b"x", content_type="text/plain")

    assert sorted(storage.list_keys("a/")) == ["a/1", "a/2"]
    assert sorted(storage.list_keys("")) == ["a/1", "a/2", "ab", "b/ünï code+&?"]
    assert b"".join(storage.read("b/ünï code+&?")) == b"x"


def test_usable_storage_passes_its_check(storage: Storage) -> None:
    storage.check()


LINKING = {"s3"}
"""Storages that give links; the files of the others are streamed."""


def test_storage_gives_links_or_none_at_all(storage: Storage) -> None:
    link = storage.presign("probe", expires_seconds=1, filename="x", content_type="text/plain")
    assert (link is not None) == (storage.name in LINKING)


@pytest.fixture(params=sorted(LINKING))
def linking(request: pytest.FixtureRequest, create_storage: Callable[[str], Storage]) -> Storage:
    return create_storage(request.param)


@pytest.fixture
def fetch() -> Callable[[str], tuple[bytes, Message]]:
    def fetch(url: str) -> tuple[bytes, Message]:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own server
            return answer.read(), answer.headers

    return fetch


@pytest.mark.cell("SeaweedFS 4", "presigned")
def test_link_answers_with_name_type_and_no_store(
    linking: Storage, fetch: Callable[[str], tuple[bytes, Message]]
) -> None:
    store(linking, "file", b"id\r\n1\r\n")
    link = linking.presign(
        "file", expires_seconds=60, filename='Grüße "2024".csv', content_type="text/csv"
    )

    data, headers = fetch(link or "")

    assert data == b"id\r\n1\r\n"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Type"] == "text/csv"
    assert headers["Content-Disposition"] == (
        "attachment; filename=\"Grue _2024_.csv\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20_2024_.csv"
    )


def test_link_that_was_tampered_with_is_refused(
    linking: Storage, fetch: Callable[[str], tuple[bytes, Message]]
) -> None:
    store(linking, "file", b"mine")
    store(linking, "other", b"theirs")
    link = linking.presign("file", expires_seconds=60, filename="f", content_type="text/csv") or ""

    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(link.replace("/file?", "/other?"))

    assert caught.value.code == 403


@pytest.mark.parametrize("seconds", [0, 61, 3600])
def test_link_longer_than_a_minute_is_never_made(storage: Storage, seconds: int) -> None:
    with pytest.raises(ValueError, match="1 to 60"):
        storage.presign("file", expires_seconds=seconds, filename="f", content_type="text/csv")
