"""A caller chooses texts that end up in a file which somebody else opens in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from waybill.formats import ENCODERS

from .conftest import StartTarget, client_of

FORMULAS = [
    "=HYPERLINK(0)",
    "+1+cmd",
    "-1-1",
    "@SUM(1)",
    "＝1+1",
    " =1",
    "'=1",
    "\u200b=1",
    "x;=1+1",
    "x|@A1",
    "\x1b[2J",
    "\u202e",
]


@pytest.fixture(scope="module")
def client(start_target: StartTarget) -> Iterator[httpx.Client]:
    with start_target(only_api=True) as target, client_of(target) as client:
        yield client


def bodies(text: str) -> list[dict[str, Any]]:
    """Return requests that would write ``text``, by each option of each format that is text."""
    options = [
        {"format": encoder.name, "options": {name: text, **more}}
        for encoder in ENCODERS.values()
        for name, field in encoder.options_model.model_fields.items()
        if field.annotation is str
        for more in ({}, {"formula_guard": False})
    ]
    labels = [
        {"format": name, "columns": [{"name": "id", "label": text}]}
        for name in ENCODERS
        if not {"|", ";"} & set(text)  # inside a cell of the caller's own, quoted
    ]
    return options + labels


@pytest.mark.parametrize("text", FORMULAS)
def test_text_of_the_callers_choice_that_is_a_formula_is_refused(
    client: httpx.Client, text: str
) -> None:
    wanted = bodies(text)
    assert any("options" in body for body in wanted)
    for body in wanted:
        for attack in (body, {**body, "dry_run": True}):
            answer = client.post("/api/users/export", json=attack)
            assert answer.status_code == 422, attack
            assert text not in answer.text
    assert client.get("/api/exports").json()["items"] == []


@pytest.mark.parametrize("text", ["NULL", "N/A", "\\N", "(none)", "0"])
def test_harmless_null_text_is_taken(client: httpx.Client, text: str) -> None:
    body = {"options": {"null_text": text}, "dry_run": True}
    assert client.post("/api/users/export", json=body).status_code == 200
