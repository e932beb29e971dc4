"""Learning values without reading them: by what is compared, ordered, counted or said in errors."""

from __future__ import annotations

from typing import Any

import pytest

from waybill.catalog import Catalog
from waybill.catalog.toml import parse_catalog

from .conftest import House

USER = {"sub": "eve", "org": "acme", "scope": "exports:request exports:read"}
FULL = USER | {"scope": "exports:request exports:read exports:pii exports:hr"}


@pytest.fixture
def catalog() -> Catalog:
    return parse_catalog(
        """
        [exports.people]
        table = "people"
        key = "id"
        columns = ["id", "name", { name = "email", pii = true }, { name = "seen", pii = true },
                   { name = "grade", pii = "exports:hr" }]
        filters = [
          "name", "email",
          { name = "grade", values = ["low", "high"] },
          { name = "wage", type = "integer" },
          { name = "city", pii = false },
          { name = "mail", column = "email", pii = false },
        ]
        since = "seen"

        [exports.changes]
        table = "people"
        key = "id"
        columns = ["id", "name"]
        since = { column = "changed", pii = false }

        [exports.unsaid]
        table = "people"
        key = "id"
        columns = ["id", "name"]
        since = "changed"

        [exports.ranked]
        table = "people"
        key = "email"
        columns = ["id", { name = "email", pii = true }]

        [exports.payroll]
        table = "people"
        key = "id"
        requires = "exports:payroll"
        """
    )


@pytest.fixture(autouse=True)
def people(execute: Any) -> None:
    execute(
        "CREATE TABLE people (id int PRIMARY KEY, name text, email text UNIQUE, grade text,"
        " wage int, city text, seen timestamptz, changed timestamptz)"
    )
    execute(
        "INSERT INTO people SELECT g, 'n' || g, 'e' || g || '@example.org', 'low', g, 'Rome',"
        " now(), now() FROM generate_series(1, 9) AS g"
    )


DOORS = [
    ("people", {"columns": ["id"], "since": "2026-01-01T00:00:00Z"}),
    ("people", {"columns": ["id"], "filters": {"email": {"prefix": "e1"}}}),
    ("people", {"columns": ["id"], "filters": {"grade": {"eq": "low"}}}),
    # Not declared as a column, so nobody said that it may be known.
    ("people", {"columns": ["id"], "filters": {"wage": {"gte": 5}}}),
    # A filter cannot make a personal column less so.
    ("people", {"columns": ["id"], "filters": {"mail": {"eq": "e1@example.org"}}}),
    ("people", {"columns": ["id"], "filters": {"wage": {"is_null": True}}}),
    ("unsaid", {"since": "2026-01-01T00:00:00Z"}),
    # The order of the ids would be that of the addresses.
    ("ranked", {"columns": ["id"]}),
    ("people", {"columns": ["email"]}),
    ("people", {}),
]


@pytest.mark.parametrize(("export_type", "body"), DOORS)
async def test_what_tells_of_personal_values_needs_their_scope(
    house: House, export_type: str, body: dict[str, Any]
) -> None:
    for more in ({}, {"dry_run": True}):
        answer = await house.ask(USER, "POST", f"/api/{export_type}/export", json=body | more)
        assert (answer.status_code, answer.json()["code"]) == (403, "personal_data_denied")
        allowed = await house.ask(FULL, "POST", f"/api/{export_type}/export", json=body | more)
        assert allowed.status_code in {200, 202}, allowed.text


@pytest.mark.parametrize(
    ("export_type", "body"),
    [
        ("people", {"columns": ["id"], "filters": {"name": {"eq": "n1"}, "city": {"eq": "Rome"}}}),
        ("changes", {"since": "2026-01-01T00:00:00Z"}),
    ],
)
async def test_what_the_operator_declares_open_is_open(
    house: House, export_type: str, body: dict[str, Any]
) -> None:
    answer = await house.ask(USER, "POST", f"/api/{export_type}/export", json=body)
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize(
    "filters",
    [
        {"grade": {"eq": "middling"}},
        {"grade": {"eq": 5}},
        {"wage": {"prefix": "1"}},
        {"email": {"gt": 5}},
    ],
)
async def test_error_about_a_value_is_for_those_who_may_compare_it(
    house: House, filters: dict[str, Any]
) -> None:
    body = {"columns": ["id"], "filters": filters}
    refused = await house.ask(USER, "POST", "/api/people/export", json=body)
    assert refused.json()["code"] == "personal_data_denied"
    assert "high" not in refused.text
    explained = await house.ask(FULL, "POST", "/api/people/export", json=body)
    assert explained.json()["code"] == "invalid_filter"


@pytest.mark.parametrize(
    ("path", "body", "known", "all_known"),
    [
        (
            "nothing",
            {},
            ["changes", "people", "ranked", "unsaid"],
            ["changes", "people", "ranked", "unsaid"],
        ),
        ("people", {"columns": ["x"]}, ["id", "name"], ["id", "name", "email", "seen", "grade"]),
        (
            "people",
            {"columns": ["id"], "filters": {"x": {"eq": "1"}}},
            ["name", "city"],
            ["name", "email", "grade", "wage", "city", "mail"],
        ),
    ],
)
async def test_error_names_what_the_caller_may_use_and_nothing_else(
    house: House, path: str, body: dict[str, Any], known: list[str], all_known: list[str]
) -> None:
    for who, expected in ((USER, known), (FULL, all_known)):
        answer = await house.ask(who, "POST", f"/api/{path}/export", json=body)
        assert answer.status_code in {404, 422}
        assert answer.json()["known"] == expected
        assert "payroll" not in answer.text
        for name in set(all_known) - set(expected):
            assert name not in answer.json()["detail"]
    stream = await house.ask(USER, "GET", "/api/nothing/export/stream")
    assert "payroll" not in stream.text


async def test_estimate_of_time_tells_nothing_of_other_tenants_exports(house: House) -> None:
    ask = {"columns": ["id"], "dry_run": True}
    theirs = await house.job("completed", tenant="globex", export_type="people")
    assert theirs.status == "completed"
    preview = (await house.ask(USER, "POST", "/api/people/export", json=ask)).json()
    assert preview["seconds_from"] == "sample"
    await house.job("completed", tenant="acme", export_type="people")
    preview = (await house.ask(USER, "POST", "/api/people/export", json=ask)).json()
    assert preview["seconds_from"] == "earlier exports"
