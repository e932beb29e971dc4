from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from waybill.storage.s3 import content_types


def install() -> dict[str, Callable[..., None]]:
    """Return what a client's events call."""
    handlers: dict[str, Callable[..., None]] = {}
    events = SimpleNamespace(register=handlers.__setitem__)
    content_types.install(SimpleNamespace(meta=SimpleNamespace(events=events)))
    return handlers


def named(handlers: dict[str, Callable[..., None]], operation: str, given: str | None) -> str:
    params: dict[str, Any] = {"headers": {} if given is None else {"Content-Type": given}}
    handlers[f"before-call.s3.{operation}"](params, model=None)
    return str(params["headers"].get("Content-Type"))


@pytest.mark.parametrize(
    ("server", "given", "sent"),
    [
        (None, "text/csv; header=present", "text/csv; header=present"),
        ("AmazonS3", "text/csv", "text/csv"),
        ("SeaweedFS 30GB 4.48", "text/csv; header=present", "Text/csv; header=present"),
        ("SeaweedFS 30GB 4.48", "application/json", "application/json"),
        ("SeaweedFS 30GB 4.48", None, "None"),
    ],
)
def test_seaweedfs_alone_is_told_text_in_another_spelling(
    server: str | None, given: str | None, sent: str
) -> None:
    handlers = install()
    read = handlers["response-received.s3"]
    read(response_dict={"headers": {} if server is None else {"server": server}})
    assert named(handlers, "PutObject", given) == sent


def test_spelling_goes_by_who_answered_last_and_no_answer_tells_nothing() -> None:
    handlers = install()
    read = handlers["response-received.s3"]
    read(response_dict=None)
    assert named(handlers, "PutObject", "text/csv") == "text/csv"
    read(response_dict={"headers": {"server": "SeaweedFS"}})
    assert named(handlers, "PutObject", "text/csv") == "Text/csv"
    read(response_dict={"headers": {"server": "nginx"}})
    assert named(handlers, "PutObject", "text/csv") == "text/csv"


def test_parts_have_no_type() -> None:
    assert named(install(), "UploadPart", None) == "binary/octet-stream"
