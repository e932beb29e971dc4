"""What the directory's storage does beyond the contract of all storages."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from waybill.config import Settings
from waybill.errors import ConfigurationError, StorageRejected, StorageUnavailable
from waybill.storage.base import Upload
from waybill.storage.directory.storage import DirectoryOptions, DirectoryStorage, service_id
from waybill.storage.registry import create_storages

SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "storage"
    root.mkdir()
    return root


@pytest.fixture
def storage(root: Path) -> DirectoryStorage:
    return DirectoryStorage(DirectoryOptions(root, lambda: "this-service"))


def store(storage: DirectoryStorage, key: str, data: bytes) -> None:
    with storage.open_upload(key, content_type="text/csv") as upload:
        upload.complete([upload.write_part(1, data, hashlib.sha256(data).hexdigest())])


def files_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


# -- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["../escape", "a/../../b", "/etc/passwd", "a//b", ".", "..", "a/./b", "nul\0", "ü ?&"]
)
def test_no_key_leads_out_of_the_directory(storage: DirectoryStorage, root: Path, key: str) -> None:
    before = {path for path in root.parent.rglob("*") if not path.is_relative_to(root)}
    store(storage, key, b"mine")

    assert b"".join(storage.read(key)) == b"mine"
    assert list(storage.list_keys("")) == [key]
    assert {path for path in root.parent.rglob("*") if not path.is_relative_to(root)} == before
    storage.delete(key)
    assert files_below(root) == {"owner"}


def test_upload_id_that_is_none_is_refused(storage: DirectoryStorage, root: Path) -> None:
    (root.parent / "victim").mkdir()
    (root.parent / "victim" / "key").write_text("k")
    with pytest.raises(ValueError, match="badly formed"):
        storage.abort_upload("k", "../../victim")
    assert (root.parent / "victim" / "key").exists()


def test_files_are_for_waybill_alone(storage: DirectoryStorage, root: Path) -> None:
    store(storage, "a/b", b"personal")
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (root / "objects").rglob("*")}
    assert modes == {"a": 0o700, "b": 0o600}


# -- proof ------------------------------------------------------------------------------------


def test_part_that_changed_on_the_disk_is_never_committed(
    storage: DirectoryStorage, root: Path
) -> None:
    def complete_spoiled() -> None:
        with storage.open_upload("file", content_type="text/csv") as upload:
            receipt = upload.write_part(1, b"right", hashlib.sha256(b"right").hexdigest())
            (part,) = (root / "uploads").rglob("*.part")
            part.write_bytes(b"wrong")
            upload.complete([receipt])

    with pytest.raises(Exception, match="Part 1 on the disk is not what was sent"):
        complete_spoiled()
    assert storage.find("file") is None
    assert files_below(root) == {"owner"}


def test_file_that_changed_at_rest_has_another_etag(storage: DirectoryStorage, root: Path) -> None:
    store(storage, "file", b"right")
    before = storage.find("file")
    (root / "objects" / "file").write_bytes(b"wrong")
    assert before is not None
    assert storage.find("file") != before


CRASHING = """
import hashlib, os, signal, sys
from pathlib import Path
from waybill.storage.directory import upload as module
from waybill.storage.directory.storage import DirectoryOptions, DirectoryStorage
storage = DirectoryStorage(DirectoryOptions(Path(sys.argv[1]), lambda: "this-service"))
kill = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "joining":
    module.DirectoryUpload._give_name = kill
elif sys.argv[2] == "naming":
    module.shutil.rmtree = kill
with storage.open_upload("file", content_type="text/csv") as upload:
    receipts = [upload.write_part(n, d, hashlib.sha256(d).hexdigest()) for n, d in
                ((1, b"first" * 1000), (2, b"second"))]
    if sys.argv[2] == "parts":
        kill()
    upload.complete(receipts)
"""


@pytest.mark.parametrize(
    ("moment", "is_there"), [("parts", False), ("joining", False), ("naming", True)]
)
def test_killed_process_leaves_the_whole_file_or_none_and_an_upload_for_the_sweep(
    storage: DirectoryStorage, root: Path, moment: str, is_there: bool
) -> None:
    result = subprocess.run(
        [sys.executable, "-c", CRASHING, str(root), moment], check=False, capture_output=True
    )
    assert result.returncode == -signal.SIGKILL, result.stderr
    found = storage.find("file")
    assert (found is not None) == is_there
    if is_there:
        assert b"".join(storage.read("file")) == b"first" * 1000 + b"second"

    for stale in storage.stale_uploads(older_than=datetime.now(UTC) + timedelta(hours=1)):
        storage.abort_upload(stale.key, stale.upload_id)
    assert files_below(root) == {"owner"} | ({"objects/file"} if is_there else set())


# -- a directory that cannot be used ----------------------------------------------------------


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Run as an ordinary user, since root writes everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_directory_that_may_not_be_written_is_rejected_with_the_remedy(
    storage: DirectoryStorage, root: Path, request: pytest.FixtureRequest
) -> None:
    storage.check()
    for folder in (root.parent, root, root / "objects", root / "uploads"):
        folder.chmod(0o755)
    (root / "uploads").chmod(0o555)
    # pytest's own folders above are root's alone.
    for parent in root.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    request.getfixturevalue("as_nobody")
    with pytest.raises(StorageRejected, match="Give waybill's user the right"):
        storage.check()
    with pytest.raises(StorageRejected, match="Give waybill's user the right"):
        store(storage, "file", b"x")


def test_full_disk_fails_the_attempt_and_leaves_nothing(
    storage: DirectoryStorage, root: Path
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    storage.check()
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(StorageUnavailable, match="Make room on its disk"):
            store(storage, "file", b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert files_below(root) == {"owner"}
    store(storage, "file", b"x" * 10_000)  # and goes on once there is room


def test_disk_that_fills_while_parts_are_joined_leaves_no_object(
    storage: DirectoryStorage, root: Path
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def send(upload: Upload, number: int) -> object:
        data = bytes([number]) * 3000
        return upload.write_part(number, data, hashlib.sha256(data).hexdigest())

    def join() -> None:
        with storage.open_upload("file", content_type="text/csv") as upload:
            receipts = [send(upload, 1), send(upload, 2)]
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
            upload.complete(receipts)  # type: ignore[arg-type]

    try:
        with pytest.raises(StorageUnavailable, match="no room to commit the upload"):
            join()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert files_below(root) == {"owner"}


def test_objects_on_another_device_are_refused(
    storage: DirectoryStorage, root: Path, tmp_path: Path
) -> None:
    other = SHARED_MEMORY / f"waybill-test-{os.getpid()}"
    other.mkdir()
    try:
        if other.stat().st_dev == tmp_path.stat().st_dev:
            pytest.fail("this test needs a temporary directory that is not shared memory")
        (root / "objects").symlink_to(other)
        with pytest.raises(StorageRejected, match="two devices"):
            storage.check()
        with pytest.raises(StorageRejected, match="EXDEV"):
            store(storage, "file", b"x")
        assert list(other.iterdir()) == []
    finally:
        shutil.rmtree(other)


def test_missing_directory_is_not_made(tmp_path: Path) -> None:
    storage = DirectoryStorage(DirectoryOptions(tmp_path / "mount", lambda: "me"))
    with pytest.raises(StorageRejected, match="Create or mount it"):
        storage.check()
    with pytest.raises(StorageRejected, match="Create or mount it"):
        store(storage, "file", b"x")
    assert list(tmp_path.iterdir()) == []


def test_vendor_error_keeps_its_cause(storage: DirectoryStorage, root: Path) -> None:
    storage.check()
    shutil.rmtree(root / "uploads")
    (root / "uploads").write_text("in the way")
    with pytest.raises(StorageRejected) as caught:
        store(storage, "file", b"x")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOTDIR


# -- one service to a directory ---------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda storage: storage.check(),
        lambda storage: storage.put("k", b"", content_type="text/plain"),
        lambda storage: list(storage.list_keys("")),
        lambda storage: storage.delete("theirs"),
        lambda storage: store(storage, "k", b""),
        lambda storage: storage.abort_upload("k", "0" * 32),
    ],
)
def test_second_service_cannot_use_or_sweep_the_directory_of_the_first(
    storage: DirectoryStorage, root: Path, use: Callable[[DirectoryStorage], object]
) -> None:
    store(storage, "theirs", b"data")
    other = DirectoryStorage(DirectoryOptions(root, lambda: "another-service"))
    before = files_below(root)

    with pytest.raises(StorageRejected, match="belongs to another waybill"):
        use(other)

    assert files_below(root) == before


def test_processes_of_one_service_share_the_directory(database: str, root: Path) -> None:
    for _ in range(2):
        settings = Settings(database_url=database, storage="directory", storage_directory=root)  # type: ignore[arg-type]
        create_storages(settings)["directory"].check()
    assert (root / "owner").read_text() == service_id(database)


def test_service_without_migrations_is_told_to_migrate(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP TABLE service_identity")
    with pytest.raises(StorageRejected, match="waybill migrate"):
        service_id(database)


def test_settings_that_name_no_directory_are_refused(database: str) -> None:
    settings = Settings(database_url=database, storage="directory")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="WAYBILL_STORAGE_DIRECTORY"):
        create_storages(settings)


def test_settings_that_name_an_unknown_storage_are_told_the_known_ones(database: str) -> None:
    settings = Settings(database_url=database, storage="gcs")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="s3, directory, database"):
        create_storages(settings)
