"""What S3 and the way to it can do wrong. After each: a whole object, or none and no upload."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from waybill.errors import StorageCorrupted, StorageRejected, StorageUnavailable
from waybill.storage.s3.client import S3Options
from waybill.storage.s3.storage import S3Storage

PART = os.urandom(5 * 1024 * 1024)
SMALL = PART[: 1024 * 1024]  # put in one request
BOTH_WAYS = pytest.mark.parametrize("data", [PART, SMALL], ids=["in parts", "in one request"])
ERROR_BODY = (
    b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>sorry</Message></Error>"
)


def send(storage: S3Storage, data: bytes = PART) -> Any:
    sha256 = hashlib.sha256(data).hexdigest()
    with storage.open_upload("file", content_type="text/csv") as upload:
        return upload.complete([upload.write_part(1, data, sha256)])


def assert_nothing_left(storage: S3Storage) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert list(storage.list_keys("")) == []
    assert list(storage.stale_uploads(older_than=tomorrow)) == []


class Spoiler:
    """Flips a bit in the body of the first ``times`` parts."""

    def __init__(self, times: int) -> None:
        self.left = times
        self._lock = threading.Lock()

    def __call__(self, data: bytes) -> bytes:
        with self._lock:
            # Not a request's head: the middle of a part.
            if self.left == 0 or len(data) < 4096 or b"HTTP/1.1" in data:
                return data
            self.left -= 1
        return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.cell("SeaweedFS 4", "checksum")
@BOTH_WAYS
def test_data_damaged_on_the_way_is_sent_again(
    proxied: S3Storage, proxy: Any, storage: S3Storage, data: bytes
) -> None:
    proxy.on_request = spoiler = Spoiler(1)

    stored = send(proxied, data)

    assert spoiler.left == 0
    assert stored.bytes == len(data)
    assert b"".join(storage.read("file")) == data


@BOTH_WAYS
def test_data_damaged_every_time_commits_nothing(
    proxied: S3Storage, proxy: Any, storage: S3Storage, data: bytes
) -> None:
    proxy.on_request = Spoiler(1000)

    with pytest.raises(StorageCorrupted, match="BadDigest"):
        send(proxied, data)

    assert_nothing_left(storage)


def is_commit(data: bytes) -> bool:
    return re.match(rb"POST [^ ]*uploadId=", data) is not None


def test_commit_whose_answer_was_lost_is_found(
    proxied: S3Storage, proxy: Any, storage: S3Storage
) -> None:
    commits = []

    def watch(data: bytes) -> bytes:
        if is_commit(data):
            commits.append(data)
        return data

    def cut(data: bytes) -> bytes | None:
        # The first answer to a commit, and only that, never arrives.
        if b"CompleteMultipartUploadResult" in data and len(commits) == 1:
            return None
        return data

    proxy.on_request, proxy.on_response = watch, cut

    stored = send(proxied)

    assert len(commits) > 1
    assert stored == storage.find("file")
    assert list(storage.list_keys("")) == ["file"]


def test_small_object_whose_answer_was_lost_is_found(
    proxied: S3Storage, proxy: Any, storage: S3Storage
) -> None:
    puts = []

    def watch(data: bytes) -> bytes:
        if data.startswith(b"PUT "):
            puts.append(data)
        return data

    proxy.on_request = watch
    # The first answer, and only that, never arrives; the repetition is then refused.
    proxy.on_response = lambda data: None if len(puts) == 1 else data

    stored = send(proxied, SMALL)

    assert len(puts) > 1
    assert stored == storage.find("file")
    assert b"".join(storage.read("file")) == SMALL


def test_small_object_never_replaces_another(storage: S3Storage) -> None:
    storage.put("file", b"another attempt's", content_type="text/csv")

    with pytest.raises(StorageUnavailable, match="PreconditionFailed"):
        send(storage, SMALL)

    assert b"".join(storage.read("file")) == b"another attempt's"


def test_small_part_that_is_not_the_last_is_refused_and_never_dropped(storage: S3Storage) -> None:
    first, second = b"too small to be followed by", SMALL
    with (
        pytest.raises(StorageRejected, match="EntityTooSmall"),
        storage.open_upload("file", content_type="text/csv") as upload,
    ):
        upload.complete(
            [
                upload.write_part(number, data, hashlib.sha256(data).hexdigest())
                for number, data in ((1, first), (2, second))
            ]
        )

    assert_nothing_left(storage)


def test_200_with_an_error_body_is_no_commit(
    proxied: S3Storage, proxy: Any, storage: S3Storage
) -> None:
    pending = threading.Event()

    def withhold(data: bytes) -> bytes:
        if is_commit(data):
            pending.set()
            # The server is asked something harmless instead, so that it commits nothing.
            return b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        # Its body may come after the answer to that.
        return b"" if data.startswith(b"<CompleteMultipartUpload") else data

    def lie(data: bytes) -> bytes:
        if not pending.is_set():
            return data
        pending.clear()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(ERROR_BODY)}\r\n\r\n"
        return head.encode() + ERROR_BODY

    proxy.on_request, proxy.on_response = withhold, lie

    with pytest.raises(StorageUnavailable, match="InternalError"):
        send(proxied)

    assert_nothing_left(storage)


def lie_of_the_whole(data: bytes) -> bytes:
    # The parts' checksum, which SeaweedFS names when it joins them, is withheld.
    return re.sub(
        rb"[0-9a-f]{32}-1", b"0" * 32 + b"-1", data.replace(b"ChecksumSHA256>", b"ChecksumMD5ABC>")
    )


def spoil_downloads(data: bytes) -> bytes:
    return data if len(data) < 4096 else data[:-1] + bytes([data[-1] ^ 1])


def test_etag_of_the_whole_that_is_no_digest_has_the_object_read_back(
    proxied: S3Storage, proxy: Any, storage: S3Storage
) -> None:
    proxy.on_response = lie_of_the_whole
    assert send(proxied).bytes == len(PART)
    storage.delete("file")

    proxy.on_response = lambda data: spoil_downloads(lie_of_the_whole(data))
    with pytest.raises(StorageCorrupted, match="what it holds"):
        send(proxied)

    assert_nothing_left(storage)


@BOTH_WAYS
def test_wrong_checksum_in_the_answer_is_corruption(
    proxied: S3Storage, proxy: Any, storage: S3Storage, data: bytes
) -> None:
    right = re.compile(rb"(?i)(x-amz-checksum-sha256: )[A-Za-z0-9+/]{43}=")
    proxy.on_response = lambda sent: right.sub(rb"\g<1>" + b"A" * 43 + b"=", sent)

    with pytest.raises(StorageCorrupted):
        send(proxied, data)

    assert_nothing_left(storage)


@BOTH_WAYS
def test_server_that_ignores_checksums_is_held_to_its_etags(
    proxied: S3Storage, proxy: Any, storage: S3Storage, data: bytes
) -> None:
    echo = re.compile(rb"(?i)x-amz-checksum-sha256: [^\r]*\r\n")
    proxy.on_response = lambda sent: echo.sub(b"", sent)
    assert send(proxied, data).bytes == len(data)
    storage.delete("file")

    # Behind the proxy, ETags are the digests spelt backwards: no digests, but kept consistently.
    etags = re.compile(rb"([0-9a-f]{32})(?=-\d+(?:\"|&)|\"|&)")
    turned = lambda sent: etags.sub(lambda found: found[1][::-1], sent)  # noqa: E731
    proxy.on_request = lambda sent: turned(sent) if b"<ETag>" in sent else sent
    proxy.on_response = lambda sent: turned(echo.sub(b"", sent))
    assert send(proxied, data).etag != hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert b"".join(storage.read("file")) == data
    storage.delete("file")

    proxy.on_response = lambda sent: spoil_downloads(turned(echo.sub(b"", sent)))
    with pytest.raises(StorageCorrupted, match="what it holds"):
        send(proxied, data)

    assert_nothing_left(storage)


def test_download_cut_short_never_looks_like_the_end(
    proxied: S3Storage, proxy: Any, storage: S3Storage
) -> None:
    storage.put("file", PART, content_type="text/csv")
    passed = 0

    def cut(data: bytes) -> bytes | None:
        nonlocal passed
        passed += len(data)
        return data if passed < 1_000_000 else None

    proxy.on_response = cut

    with pytest.raises(StorageUnavailable):
        list(proxied.read("file"))


def test_server_that_is_down_is_unavailable(storage: S3Storage) -> None:
    down = S3Storage(
        S3Options("bucket", endpoint_url="http://127.0.0.1:1", access_key_id="a",
                  secret_access_key="b")
    )  # fmt: skip

    with pytest.raises(StorageUnavailable):
        down.check()


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"bucket": "no-such-bucket"}, "WAYBILL_S3_BUCKET"),
        ({"secret_access_key": "wrong"}, "credentials"),
    ],
)
def test_wrong_settings_are_rejected_with_their_remedy(
    change: dict[str, Any], remedy: str, storage: S3Storage
) -> None:
    wrong = S3Storage(dataclasses.replace(storage.options, **change))

    with pytest.raises(StorageRejected, match=remedy):
        wrong.check()


def test_secrets_do_not_print(storage: S3Storage) -> None:
    secret = storage.options.secret_access_key

    assert secret is not None
    assert secret not in repr(storage.options)


def test_forked_child_makes_its_own_client(storage: S3Storage) -> None:
    storage.put("before", b"x", content_type="text/plain")
    child = os.fork()
    if child == 0:
        # The child may end in no other way than this: it shares pytest's memory.
        try:
            storage.put("in-child", b"y", content_type="text/plain")
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert b"".join(storage.read("in-child")) == b"y"
    assert b"".join(storage.read("before")) == b"x"
