"""A bucket with rules of its owner's: tags, ACLs, and the application's own boto3."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from waybill.bootstrap.everything import Services
from waybill.bootstrap.worker import WorkerParts
from waybill.catalog import Catalog
from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.manifest import manifest_key
from waybill.storage.s3.storage import S3Storage
from waybill.storage.s3.tags import check_tags

PART = os.urandom(5 * 1024 * 1024)
TAGS = {"tenant": "{tenant}", "kind": "export of {export_type}", "app": "shop"}


def send(storage: S3Storage, key: str, data: bytes) -> None:
    with storage.open_upload(key, content_type="text/csv") as upload:
        upload.complete([upload.write_part(1, data, hashlib.sha256(data).hexdigest())])


def tags_of(storage: S3Storage, key: str) -> dict[str, str]:
    found = storage.client.call("get_object_tagging", key)["TagSet"]
    return {each["Key"]: each["Value"] for each in found}


def asked(storage: S3Storage) -> list[dict[str, str]]:
    """Return the headers of what creates objects, as they are sent."""
    sent: list[dict[str, str]] = []

    def note(request: Any, **_: object) -> None:
        given = {name.lower(): request.headers[name] for name in request.headers}
        sent.append({name: v.decode() if isinstance(v, bytes) else v for name, v in given.items()})

    for operation in ("PutObject", "CreateMultipartUpload"):
        storage.client.boto3.meta.events.register(f"before-send.s3.{operation}", note)
    return sent


def test_tags_and_acl_go_along_with_all_that_creates_an_object(storage: S3Storage) -> None:
    options = dataclasses.replace(storage.options, tags=TAGS, acl="bucket-owner-full-control")
    theirs = S3Storage(options)
    sent = asked(theirs)
    of_acme = theirs.labelled(tenant="acme <&é>", export_type="users")
    send(of_acme, "small", PART[:100])
    send(of_acme, "large", PART)
    of_acme.put("manifest", b"{}", content_type="application/json")
    send(theirs.labelled(tenant=None, export_type="orders"), "nobody", PART[:100])
    assert [each["x-amz-acl"] for each in sent] == ["bucket-owner-full-control"] * 4
    acme = "tenant=acme+__%C3%A9_&kind=export+of+users&app=shop"
    assert [each["x-amz-tagging"] for each in sent] == [
        acme, acme, acme, "tenant=&kind=export+of+orders&app=shop"
    ]  # fmt: skip
    expected = {"tenant": "acme __é_", "kind": "export of users", "app": "shop"}
    assert tags_of(of_acme, "small") == tags_of(of_acme, "large") == expected
    # What one export found out about the store, and its connections, are the others' too.
    assert of_acme.client.boto3 is theirs.client.boto3


async def test_objects_of_a_job_bear_its_tenant(
    services: Services, settings: Settings, catalog: Catalog
) -> None:
    job = await services.repository.add(
        export_type="users", format="csv", options={}, requested_by="ann", tenant="acme",
        max_attempts=1,
    )  # fmt: skip
    tagged = settings.model_copy(update={"s3_tags": {"tenant": "{tenant}"}})
    async with WorkerParts(tagged, catalog=catalog) as worker:
        await worker.runner.run(job.id)
    done = await services.repository.find(job.id)
    assert done is not None
    assert done.object_key is not None
    storage = services.storages["s3"]
    assert isinstance(storage, S3Storage)
    for key in (done.object_key, manifest_key(done.object_key)):
        assert tags_of(storage, key) == {"tenant": "acme"}


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"tenant": "{user}"}, r"\{user\} is not known"),
        ({"ten<ant": "x"}, "the name of"),
        ({"tenant": "x" * 257}, "the value of"),
        ({str(number): "x" for number in range(11)}, "10 tags at most"),
    ],
)
def test_tags_that_s3_would_refuse_are_refused_at_the_start(
    tags: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check_tags(tags)


@pytest.fixture
def named(
    storage: S3Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """A module of the application's, with its boto3."""
    options = storage.options
    keys = {
        "aws_access_key_id": options.access_key_id,
        "aws_secret_access_key": options.secret_access_key,
        "region_name": options.region,
    }
    session = boto3.session.Session(**keys)
    module = SimpleNamespace(
        session=session,
        make_client=session.client,
        nothing=object(),
        queue=lambda _, **wanted: session.client("sqs", **wanted),
    )
    monkeypatch.setitem(__import__("sys").modules, "shop_storage", module)
    return lambda name: f"shop_storage:{name}"


@pytest.mark.parametrize("name", ["session", "make_client"])
def test_boto3_of_the_application_is_used(
    storage: S3Storage, named: Callable[[str], str], name: str
) -> None:
    # Without keys of ours: theirs are the only ones.
    options = dataclasses.replace(
        storage.options, client=named(name), access_key_id=None, secret_access_key=None
    )
    theirs = S3Storage(options)
    send(theirs, "file", PART[:1000])
    assert b"".join(storage.read("file")) == PART[:1000]
    link = theirs.presign("file", expires_seconds=60, filename="a", content_type="text/csv")
    assert "X-Amz-Signature" in str(link)


@pytest.mark.parametrize("name", ["nothing", "queue"])
def test_what_gives_no_client_is_named(
    storage: S3Storage, named: Callable[[str], str], name: str
) -> None:
    wrong = S3Storage(dataclasses.replace(storage.options, client=named(name)))
    with pytest.raises(ConfigurationError, match=r"gives no client of S3.*boto3 session"):
        wrong.find("file")
