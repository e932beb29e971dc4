"""``deploy/waybill.env``: its variables are settings, and it is valid with one's own values."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from waybill.api.jwt_settings import JwtSettings
from waybill.cli.settings import reference
from waybill.config import Settings

FILE = Path(__file__).parents[5] / "deploy" / "waybill.env"
LINES = re.findall(r"^(#?)(WAYBILL_\w+)=(.*)$", FILE.read_text("utf-8"), re.MULTILINE)


def test_every_variable_is_a_setting_and_there_once() -> None:
    known = {variable for variable, _, _ in reference()}
    named = [variable for _, variable, _ in LINES]
    assert set(named) <= known
    assert len(named) == len(set(named))


def test_what_has_no_default_is_there() -> None:
    required = {variable for variable, default, _ in reference() if default == "required"}
    assert required
    assert required <= {variable for comment, variable, _ in LINES if not comment}


def test_it_is_valid_once_the_placeholders_are_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    for comment, variable, value in LINES:
        if not comment:
            monkeypatch.setenv(variable, re.sub(r"<[^>]*>", "yours.example", value))
    settings = Settings()
    assert settings.s3_bucket == "yours.example"
    assert settings.source_dsn is not None
    assert JwtSettings().audiences == {"waybill"}
