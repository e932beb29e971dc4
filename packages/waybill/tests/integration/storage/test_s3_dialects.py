"""Stores and rights that differ from a bucket of one's own on AWS. The answers that SeaweedFS does
not give are put in botocore's way; what they lead to happens on SeaweedFS."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.auth
import httpx
import pytest
from botocore.awsrequest import AWSResponse, HeadersDict

from waybill.errors import PermanentError, StorageCorrupted, StorageRejected, StorageUnavailable
from waybill.storage.s3 import signing
from waybill.storage.s3.storage import S3Storage

from ..conftest import S3Proxy

PART = os.urandom(5 * 1024 * 1024)
SMALL = PART[:1000]
BOTH_WAYS = pytest.mark.parametrize("data", [PART, SMALL], ids=["in parts", "in one request"])


def send(storage: S3Storage, data: bytes) -> Any:
    with storage.open_upload("file", content_type="text/csv") as upload:
        sha256 = hashlib.sha256(data).hexdigest()
        return upload.complete([upload.write_part(1, data, sha256)])


class _Body:
    def __init__(self, content: bytes = b"") -> None:
        self.content = content

    def stream(self, **_: object) -> list[bytes]:
        return [self.content]


def answer(
    storage: S3Storage,
    operation: str,
    status: int,
    when: Callable[[Any], bool] = lambda _: True,
    code: str = "",
    headers: Mapping[str, str] | None = None,
) -> list[Any]:
    """Have an operation answered by ``status`` and a code, and return the requests that were."""
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode() if code else b""
    answered: list[Any] = []

    def before_send(request: Any, **_: object) -> AWSResponse | None:
        if not when(request):
            return None
        answered.append(request)
        return AWSResponse(request.url, status, HeadersDict(headers or {}), _Body(body))

    storage.client.boto3.meta.events.register(f"before-send.s3.{operation}", before_send)
    return answered


@BOTH_WAYS
def test_store_without_conditional_writes_is_looked_at_first(
    storage: S3Storage, data: bytes
) -> None:
    refused = [
        answer(storage, operation, 501, lambda request: "If-None-Match" in request.headers)
        for operation in ("PutObject", "CompleteMultipartUpload")
    ]

    assert send(storage, data).bytes == len(data)
    assert b"".join(storage.read("file")) == data
    assert sum(map(len, refused)) == 1
    with pytest.raises(StorageUnavailable, match="PreconditionFailed"):
        send(storage, data[:-1])  # there is one of this name
    assert b"".join(storage.read("file")) == data
    assert sum(map(len, refused)) == 1  # not asked again


@BOTH_WAYS
@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "InvalidRequest")])
def test_store_that_refuses_checksums_is_asked_without(
    storage: S3Storage, data: bytes, status: int, code: str
) -> None:
    def has_checksum(request: Any) -> bool:
        return any(name.lower().startswith("x-amz-checksum") for name in request.headers)

    refused = [
        answer(storage, operation, status, has_checksum, code)
        for operation in ("PutObject", "CreateMultipartUpload", "UploadPart")
    ]

    assert send(storage, data).bytes == len(data)
    storage.put("manifest", SMALL, content_type="application/json")
    assert b"".join(storage.read("file")) == data
    # Found out once; 501 may be about the condition that goes along.
    assert sum(map(len, refused)) == (2 if status == 501 and data is SMALL else 1)
    storage.delete("file")

    told = S3Storage(dataclasses.replace(storage.options, checksums="always"))
    answer(told, "PutObject", status, has_checksum, code)
    answer(told, "CreateMultipartUpload", status, has_checksum, code)
    with pytest.raises((StorageRejected, StorageUnavailable), match=code):
        send(told, data)

    never = S3Storage(dataclasses.replace(storage.options, checksums="never"))
    sent = [
        answer(never, operation, status, has_checksum, code)
        for operation in ("PutObject", "CreateMultipartUpload", "UploadPart")
    ]
    assert send(never, data).bytes == len(data)
    assert sum(map(len, sent)) == 0


def test_refusal_for_another_reason_is_told_and_checksums_go_on(storage: S3Storage) -> None:
    refused = answer(storage, "PutObject", 400, code="InvalidRequest")

    with pytest.raises(StorageRejected, match="InvalidRequest"):
        send(storage, SMALL)

    assert len(refused) == 2
    with pytest.raises(StorageRejected):
        send(storage, SMALL)
    assert "x-amz-checksum-sha256" in refused[2].headers


@pytest.fixture
def versioned(storage: S3Storage) -> S3Storage:
    """A bucket of its own that keeps versions."""
    bucket = f"versions-{os.urandom(4).hex()}"
    boto3 = storage.client.boto3
    boto3.create_bucket(Bucket=bucket)
    boto3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return S3Storage(dataclasses.replace(storage.options, bucket=bucket))


def versions(storage: S3Storage) -> list[str]:
    client = S3Storage(storage.options).client
    found = client.boto3.list_object_versions(Bucket=client.bucket)
    kept = [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
    return [each["Key"].removeprefix(client.prefix) for each in kept]


def test_deleting_leaves_no_version(versioned: S3Storage) -> None:
    send(versioned, SMALL)
    versioned.put("file", b"another version", content_type="text/csv")
    versioned.put("file.manifest.json", b"of another key", content_type="application/json")
    assert len(versions(versioned)) == 3

    versioned.delete("file")

    assert versions(versioned) == ["file.manifest.json"]
    versioned.delete("file")  # once more, which makes no marker
    assert versions(versioned) == ["file.manifest.json"]


def test_versions_that_stay_are_told(versioned: S3Storage) -> None:
    send(versioned, SMALL)
    answer(versioned, "ListObjectVersions", 403, code="AccessDenied")

    for _ in range(2):
        with pytest.raises(StorageRejected, match="s3:DeleteObjectVersion"):
            versioned.delete("file")

    assert versioned.find("file") is None
    # Repeated by every sweep, it does not pile up markers.
    assert len(versions(versioned)) == 2


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
def test_clock_that_differs_from_storages_costs_nothing(
    storage: S3Storage, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + ahead

    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda: Clock.now(UTC).replace(tzinfo=None)
    )
    monkeypatch.setattr(signing, "datetime", Clock)

    send(storage, PART)
    link = storage.presign("file", expires_seconds=30, filename="f.csv", content_type="text/csv")

    assert link is not None
    assert httpx.get(link).content == PART
    dated = datetime.strptime(parse_qs(urlsplit(link).query)["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z")
    assert abs(dated - datetime.now(UTC)) < timedelta(minutes=10)


@pytest.mark.parametrize(("seconds", "is_believed"), [(0, True), (60, False)])
def test_answer_that_took_long_says_nothing_of_the_clock(seconds: float, is_believed: bool) -> None:
    clock = signing.StorageClock()
    date = format_datetime(datetime.now(UTC) - timedelta(minutes=1))
    context = {"waybill_signed_at": time.monotonic() - seconds}
    clock.read({"headers": {"date": date}}, context)
    assert bool(clock.offset) is is_believed


@BOTH_WAYS
def test_first_error_is_the_one_that_is_told_where_looking_is_not_allowed(
    storage: S3Storage, data: bytes
) -> None:
    for operation in ("PutObject", "CompleteMultipartUpload"):
        answer(storage, operation, 503)
    # Without the right to list, S3 answers so for what is not there.
    assert answer(storage, "HeadObject", 403) == []

    with pytest.raises(StorageUnavailable, match="at the moment"):
        send(storage, data)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (301, "PermanentRedirect"),
        (400, "AuthorizationHeaderMalformed"),
        (400, "IllegalLocationConstraintException"),
    ],
)
@pytest.mark.parametrize("region", ["eu-west-3", ""])
def test_bucket_in_another_region_is_one_sentence_with_the_setting(
    storage: S3Storage, status: int, code: str, region: str
) -> None:
    headers = {"x-amz-bucket-region": region} if region else {}
    for operation in ("PutObject", "CreateMultipartUpload"):
        answer(storage, operation, status, code=code, headers=headers)
    words = rf"\({code}\): the bucket is in {region and 'region '}{region or 'another region'}\."
    for data in (SMALL, PART):
        with pytest.raises(StorageRejected, match=words) as refused:
            send(storage, data)
        assert "WAYBILL_S3_REGION" in str(refused.value)
        assert isinstance(refused.value, PermanentError)


@pytest.mark.parametrize("region", ["eu-west-3", "us-east-1"])
def test_region_that_boto3_would_find_by_itself_is_told_at_the_start(
    storage: S3Storage, region: str
) -> None:
    """It would for uploads, and not for links."""
    on_aws = S3Storage(dataclasses.replace(storage.options, endpoint_url=None, region="us-east-1"))
    asked = answer(on_aws, "HeadBucket", 200, headers={"x-amz-bucket-region": region})
    if region == "us-east-1":
        on_aws.check()
    else:
        with pytest.raises(StorageRejected, match=r"region eu-west-3.*WAYBILL_S3_REGION"):
            on_aws.check()
    assert len(asked) == 1


def test_readiness_needs_no_right_to_list(storage: S3Storage) -> None:
    assert answer(storage, "HeadBucket", 403) == []
    storage.check()

    answer(storage, "AbortMultipartUpload", 403)
    with pytest.raises(StorageRejected):
        storage.check()


@BOTH_WAYS
@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        ({"encryption": "AES256"}, {"AES256": None}),
        ({"encryption": "aws:kms", "kms_key_id": "ours"}, {"aws:kms": "ours"}),
        ({}, {None: None}),
    ],
)
def test_encryption_that_a_policy_demands_is_asked_for_with_every_object(
    storage: S3Storage, data: bytes, settings: dict[str, Any], headers: dict[Any, Any]
) -> None:
    there = S3Storage(dataclasses.replace(storage.options, **settings))
    asked: dict[Any, Any] = {}

    def before_send(request: Any, **_: object) -> None:
        kind = request.headers.get("x-amz-server-side-encryption")
        key = request.headers.get("x-amz-server-side-encryption-aws-kms-key-id")
        asked[kind and kind.decode()] = key and key.decode()

    def refuse(request: Any, **_: object) -> AWSResponse:
        before_send(request)
        return AWSResponse(request.url, 403, {}, _Body())  # SeaweedFS has no keys here

    for operation in ("PutObject", "CreateMultipartUpload"):
        there.client.boto3.meta.events.register(f"before-send.s3.{operation}", refuse)
    with pytest.raises(StorageRejected):
        send(there, data)
    with pytest.raises(StorageRejected):
        there.put("manifest", b"{}", content_type="application/json")

    assert asked == headers


def test_links_lead_where_clients_reach_the_storage(storage: S3Storage, proxy: Any) -> None:
    there = S3Storage(dataclasses.replace(storage.options, public_endpoint_url=proxy.url))
    send(there, SMALL)

    link = there.presign("file", expires_seconds=60, filename="f.csv", content_type="text/csv")

    assert link is not None
    assert link.startswith(f"{proxy.url}/")
    assert httpx.get(link).content == SMALL


@pytest.mark.parametrize(
    ("addressing", "begins"),
    [("virtual", "https://ours.s3.test/"), (None, "https://s3.test/ours/")],
)
def test_bucket_stands_in_the_path_or_in_the_host(
    storage: S3Storage, addressing: Any, begins: str
) -> None:
    options = dataclasses.replace(
        storage.options, bucket="ours", endpoint_url="https://s3.test", addressing=addressing
    )
    link = S3Storage(options).presign("k", expires_seconds=9, filename="f", content_type="text/csv")
    assert link is not None
    assert link.startswith(begins)


def test_store_that_knows_no_ranges_gives_the_right_bytes(storage: S3Storage) -> None:
    # Several chunks, with ranges that begin and end within one, at its end, and past all.
    storage.put("file", PART, content_type="text/csv")
    ranges = [(1, None), (300_000, 300_001), (262_144, 524_288), (len(PART) - 1, len(PART)),
              (0, 10), (len(PART), None), (1_000_000, len(PART) + 7)]  # fmt: skip
    right = [b"".join(storage.read("file", start=start, stop=stop)) for start, stop in ranges]
    assert right == [PART[start:stop] for start, stop in ranges]

    def forget(params: dict[str, Any], **_: object) -> None:
        del params["headers"]["Range"]

    storage.client.boto3.meta.events.register("before-call.s3.GetObject", forget)
    assert [
        b"".join(storage.read("file", start=start, stop=stop)) for start, stop in ranges
    ] == right


@pytest.mark.parametrize("asked", ["bytes=0-", "bytes=200000-", "bytes=199999-4000000"])
def test_store_that_sends_another_range_gives_the_right_bytes_or_none(
    storage: S3Storage, asked: str
) -> None:
    """s3rver 3.7.1 sends everything for ``bytes=0-0``, and says so in ``Content-Range``."""
    storage.put("file", PART, content_type="text/csv")

    def widen(params: dict[str, Any], **_: object) -> None:
        params["headers"]["Range"] = asked

    storage.client.boto3.meta.events.register("before-call.s3.GetObject", widen)
    for start, stop in [(200_000, 200_001), (300_000, 600_000), (262_144, 524_288)]:
        assert b"".join(storage.read("file", start=start, stop=stop)) == PART[start:stop]
    if asked != "bytes=0-":
        with pytest.raises(StorageCorrupted, match="another range"):
            list(storage.read("file", start=7, stop=9))


def test_object_is_there_though_a_proxy_takes_away_when_it_was_stored(
    proxied: S3Storage, proxy: S3Proxy
) -> None:
    proxied.put("file", SMALL, content_type="text/csv")
    proxy.on_response = lambda data: data.replace(b"Last-Modified:", b"X-Had-A-Time:")
    before = datetime.now(UTC)
    assert (proxied.modified_at("file") or before) > before
    assert proxied.modified_at("another") is None


def test_what_answers_in_the_place_of_storage_begins_no_upload(
    proxied: S3Storage, proxy: S3Proxy
) -> None:
    proxy.on_response = lambda data: data.replace(b"UploadId>", b"UploadXy>")
    with (
        proxied.open_upload("file", content_type="text/csv") as upload,
        pytest.raises(StorageUnavailable, match="Something else may answer in its place"),
    ):
        upload.write_part(1, PART, hashlib.sha256(PART).hexdigest())


def test_answers_without_a_length_are_refused_in_a_sentence(
    proxied: S3Storage, proxy: S3Proxy
) -> None:
    proxied.put("file", SMALL, content_type="text/csv")
    proxy.on_response = lambda data: data.replace(b"Content-Length:", b"X-Had-A-Length:")
    with pytest.raises(StorageRejected, match=r"without Content-Length.*A proxy"):
        proxied.find("file")
