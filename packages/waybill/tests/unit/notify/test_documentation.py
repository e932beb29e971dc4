"""docs/notifications.md names every setting, its default, and every failure code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import waybill.notify
from waybill.notify.events import EventType
from waybill.notify.retry import RETRY_SECONDS
from waybill.notify.settings import NotificationSettings

REPOSITORY = Path(__file__).parents[5]
SOURCES = Path(waybill.notify.__file__).parent
_CODE = re.compile(r"(?:Delivery(?:Failed|Refused)|error)\(\s*f?\"([a-z_]+)(?=[{\"])")


@pytest.fixture(scope="module")
def document() -> str:
    return (REPOSITORY / "docs" / "notifications.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NotificationSettings.model_fields)
def test_every_setting_is_documented(name: str, document: str) -> None:
    assert f"`WAYBILL_{name.upper()}`" in document


def test_no_other_setting_is_documented(document: str) -> None:
    named = set(re.findall(r"WAYBILL_([A-Z_]+)", document))
    assert named == {name.upper() for name in NotificationSettings.model_fields}


@pytest.mark.parametrize(
    ("name", "default"),
    [
        (name, field.default)
        for name, field in NotificationSettings.model_fields.items()
        if isinstance(field.default, int | float) and not isinstance(field.default, bool)
    ],
)
def test_documented_number_is_the_default(name: str, default: float, document: str) -> None:
    assert f"| `WAYBILL_{name.upper()}` | {default:g} |" in document


def test_documented_schedule_is_the_default(document: str) -> None:
    assert ",".join(f"{seconds:g}" for seconds in RETRY_SECONDS) in document


@pytest.mark.parametrize("event", EventType)
def test_every_event_is_documented(event: EventType, document: str) -> None:
    assert f"| `{event.value}` |" in document


def test_every_failure_code_is_documented(document: str) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.py"))
    codes = {code.rstrip("_") for code in _CODE.findall(text)} | {"target_forbidden"}
    assert {"timed_out", "http", "smtp", "bad_address", "smtp_auth_failed"} <= codes
    missing = {code for code in codes if f"`{code}`" not in document}
    # Codes that end in a number stand there with NNN for it.
    assert {code for code in missing if f"`{code}_NNN`" not in document} == set()


def test_example_of_the_endpoint_is_json(document: str) -> None:
    (example,) = re.findall(r"WAYBILL_WEBHOOKS='(.*?)'", document, flags=re.DOTALL)
    (endpoint,) = json.loads(example)
    assert set(endpoint) == {"name", "url", "secrets", "events"}
