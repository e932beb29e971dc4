"""What the database's storage does beyond the contract of all storages."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from waybill.errors import StorageCorrupted, StorageFull, StorageRejected, StorageUnavailable
from waybill.storage.base import PartReceipt, Upload
from waybill.storage.database.storage import DatabaseOptions, DatabaseStorage

Execute = Callable[..., list[tuple[object, ...]]]
PART = 1024 * 1024


@pytest.fixture
def storage(database: str) -> DatabaseStorage:
    return DatabaseStorage(DatabaseOptions(database, 3 * PART, 5 * PART))


def send(upload: Upload, number: int, data: bytes) -> PartReceipt:
    return upload.write_part(number, data, hashlib.sha256(data).hexdigest())


def test_object_over_the_cap_is_refused_and_leaves_nothing(
    storage: DatabaseStorage, execute: Execute
) -> None:
    def store() -> None:
        with storage.open_upload("large", content_type="text/csv") as upload:
            for number in range(1, 5):
                send(upload, number, bytes(PART))

    with pytest.raises(StorageFull, match="WAYBILL_FALLBACK_MAX_BYTES"):
        store()

    assert execute("SELECT * FROM stored_objects") == []
    assert execute("SELECT * FROM stored_chunks") == []


def test_object_of_exactly_the_cap_is_taken(storage: DatabaseStorage) -> None:
    with storage.open_upload("fits", content_type="text/csv") as upload:
        stored = upload.complete([send(upload, n, bytes(PART)) for n in (1, 2, 3)])

    assert stored.bytes == 3 * PART


def test_all_objects_together_are_bounded(storage: DatabaseStorage) -> None:
    def store(key: str) -> None:
        with storage.open_upload(key, content_type="text/csv") as upload:
            upload.complete([send(upload, n, bytes(PART)) for n in (1, 2)])

    store("first")
    store("second")
    with pytest.raises(StorageFull, match="WAYBILL_FALLBACK_TOTAL_BYTES"):
        store("third")
    assert sorted(storage.list_keys("")) == ["first", "second"]


def test_part_that_is_not_what_its_digest_says_is_refused(storage: DatabaseStorage) -> None:
    with storage.open_upload("k", content_type="text/csv") as upload:
        with pytest.raises(StorageCorrupted, match="SHA-256"):
            upload.write_part(1, b"sent", hashlib.sha256(b"meant").hexdigest())
        upload.complete([send(upload, 1, b"meant")])

    assert b"".join(storage.read("k")) == b"meant"


def test_part_sent_again_takes_the_place_of_the_first(storage: DatabaseStorage) -> None:
    with storage.open_upload("k", content_type="text/csv") as upload:
        send(upload, 1, os.urandom(PART))
        stored = upload.complete([send(upload, 1, b"second")])

    assert (stored.bytes, b"".join(storage.read("k"))) == (6, b"second")


def test_part_that_was_not_listed_is_no_part_of_a_commit(storage: DatabaseStorage) -> None:
    with storage.open_upload("k", content_type="text/csv") as upload:
        first = send(upload, 1, b"one")
        send(upload, 2, b"two")
        with pytest.raises(StorageCorrupted, match="other parts"):
            upload.complete([first])

    assert storage.find("k") is None


def test_commit_twice_is_one_commit(storage: DatabaseStorage) -> None:
    with storage.open_upload("k", content_type="text/csv") as upload:
        receipts = [send(upload, 1, b"one")]
        assert upload.complete(receipts) == upload.complete(receipts)


def test_part_of_an_aborted_upload_is_refused(storage: DatabaseStorage) -> None:
    with storage.open_upload("k", content_type="text/csv") as upload:
        storage.abort_upload("k", upload.upload_id)
        with pytest.raises(StorageUnavailable, match="aborted"):
            send(upload, 1, b"late")
        with pytest.raises(StorageUnavailable, match="aborted"):
            send(upload, 1, b"")


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 1), (262_143, 262_145), (PART - 1, PART + 1), (0, None), (300_000, 2 * PART + 5)],
)
def test_range_across_chunks_and_parts_is_that_of_a_slice(
    storage: DatabaseStorage, start: int, stop: int | None
) -> None:
    parts = [os.urandom(PART), os.urandom(PART), os.urandom(77)]
    with storage.open_upload("k", content_type="text/csv") as upload:
        upload.complete([send(upload, n, part) for n, part in enumerate(parts, start=1)])

    assert b"".join(storage.read("k", start=start, stop=stop)) == b"".join(parts)[start:stop]


def test_chunk_that_is_missing_is_never_a_shorter_object(
    storage: DatabaseStorage, execute: Execute
) -> None:
    with storage.open_upload("k", content_type="text/csv") as upload:
        upload.complete([send(upload, 1, os.urandom(PART))])
    execute("DELETE FROM stored_chunks WHERE part_offset = 262144")

    with pytest.raises(StorageCorrupted, match="fewer bytes"):
        next(storage.read("k"))


def test_object_deleted_while_it_is_read_is_told(storage: DatabaseStorage) -> None:
    data = os.urandom(3 * PART)
    storage = DatabaseStorage(DatabaseOptions(storage.options.dsn))
    with storage.open_upload("k", content_type="text/csv") as upload:
        upload.complete([send(upload, n, data + data) for n in (1, 2)])
    chunks = storage.read("k")
    next(chunks)
    storage.delete("k")

    with pytest.raises(StorageUnavailable, match="deleted"):
        list(chunks)


def test_reading_holds_no_connection(storage: DatabaseStorage, execute: Execute) -> None:
    storage.put("k", os.urandom(PART), content_type="text/plain")
    chunks = storage.read("k")
    assert next(chunks)

    # The server needs a moment to let go of a connection that was closed.
    deadline = time.monotonic() + 30
    while execute(
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'waybill storage'"
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert b"".join(chunks)


def test_two_uploads_to_one_key_end_in_one_object(storage: DatabaseStorage) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def store(data: bytes) -> None:
        with storage.open_upload("k", content_type="text/csv") as upload:
            receipts = [send(upload, 1, data)]
            barrier.wait(30)
            try:
                upload.complete(receipts)
                outcomes.append("stored")
            except StorageRejected:
                outcomes.append("refused")

    threads = [threading.Thread(target=store, args=(data,)) for data in (b"one", b"two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["refused", "stored"]
    assert list(storage.stale_uploads(older_than=datetime.now(UTC) + timedelta(days=1))) == []


def test_database_that_does_not_answer_is_unavailable() -> None:
    away = DatabaseStorage(DatabaseOptions("postgresql://nobody:secret@127.0.0.1:1/none"))

    with pytest.raises(StorageUnavailable) as caught:
        away.check()
    assert "secret" not in str(caught.value) + repr(away.options)


def test_missing_tables_name_the_remedy(database: str, execute: Execute) -> None:
    execute("DROP TABLE stored_objects CASCADE")

    with pytest.raises(StorageRejected, match="waybill migrate"):
        DatabaseStorage(DatabaseOptions(database)).check()
