"""Learning values without reading them: by what is compared, ordered, counted or said in errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from waybill.catalog import Catalog
from waybill.catalog.toml import parse_catalog
from waybill.run.control import AttemptControl

from .conftest import House, Reopen

Execute = Callable[..., list[tuple[Any, ...]]]

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

        [exports.own]
        table = "people"
        key = "id"
        columns = ["id"]
        scope = "lower(name) = :principal.tenant"

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
            ["changes", "own", "people", "ranked", "unsaid"],
            ["changes", "own", "people", "ranked", "unsaid"],
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


async def test_forbidden_type_is_answered_for_like_one_that_is_not_there(
    house: House, execute: Execute
) -> None:
    """Whatever is asked, and however wrongly, nothing tells the two apart."""
    bodies: list[Any] = [
        {},
        {"dry_run": True},
        {"columns": ["nothing"]},
        {"filters": {"wage": {"gte": 5}}},
        {"format": "docx"},
        {"since": "yesterday"},
    ]
    told = {}
    for name in ("payroll", "pensions"):
        answers = [await house.ask(USER, "POST", f"/api/{name}/export", json=b) for b in bodies]
        answers += [
            await house.ask(USER, "POST", f"/api/{name}/export/stream", json=body)
            for body in bodies
        ]
        answers += [
            await house.ask(USER, "GET", f"/api/{name}/export/stream", params=query)
            for query in ({}, {"filters": "no JSON"}, {"format": "docx"})
        ]
        assert {answer.status_code for answer in answers} == {404}
        trail = execute(
            "SELECT actor, action, outcome, code FROM audit_events WHERE export_type = %s"
            " ORDER BY id",
            name,
        )
        assert trail
        told[name] = (
            [answer.text.replace(name, "…") for answer in answers],
            [sorted(answer.headers.keys()) for answer in answers],
            trail,
        )
    assert told["payroll"] == told["pensions"]


async def test_catalog_shows_what_the_caller_may_use_and_nothing_else(house: House) -> None:
    async def shown(who: dict[str, Any]) -> dict[str, tuple[list[str], list[str], bool]]:
        answer = (await house.ask(who, "GET", "/api/catalog")).raise_for_status()
        return {
            each["name"]: (
                [column["name"] for column in each["columns"] or ()],
                [each["name"] for each in each["filters"]],
                each["has_since"],
            )
            for each in answer.json()["types"]
        }

    few, all_ = await shown(USER), await shown(FULL)
    assert few["people"] == (["id", "name"], ["name", "city"], False)
    assert all_["people"] == (
        ["id", "name", "email", "seen", "grade"],
        ["name", "email", "grade", "wage", "city", "mail"],
        True,
    )
    assert (few["changes"][2], few["unsaid"][2]) == (True, False)
    assert "payroll" not in few
    text = (await house.ask(USER, "GET", "/api/catalog")).text
    for secret in ("email", "grade", "wage", "high", "exports:hr", "exports:pii"):
        assert secret not in text


async def test_no_estimate_by_everybodys_rows_for_who_has_rows_of_their_own(
    house: House, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planner guesses a condition it cannot see through by a share of the whole table."""
    execute("UPDATE people SET name = 'acme'")
    execute(
        "INSERT INTO people SELECT g, CASE WHEN g < 1100 THEN 'acme' ELSE 'globex' END, 'e' || g,"
        " 'low', g, 'Rome', now(), now() FROM generate_series(10, 40000) AS g"
    )
    execute("ANALYZE people")
    # As where counting is dear.
    monkeypatch.setattr("waybill.source.snapshot.EXACT_COUNT_COST", 0)
    expected: list[tuple[int | None, bool]] = []
    monkeypatch.setattr(
        AttemptControl,
        "expect",
        lambda _, rows, *, is_exact: expected.append((rows, is_exact)),
    )
    ask = {"columns": ["id"], "dry_run": True}
    for most, told in ((5_000, (1_099, "exact")), (1_050, (1_050, "at least"))):
        monkeypatch.setattr("waybill.requests.preview.EXACT_COUNT_ROWS", most)
        preview = (await house.ask(FULL, "POST", "/api/own/export", json=ask)).json()
        assert (preview["rows"], preview["rows_are"]) == told
    # Nor do the figures of a job under way; of a type without such a rule they do.
    for name, figures in (("own", (None, False)), ("changes", (40_000, False))):
        accepted = await house.ask(FULL, "POST", f"/api/{name}/export", json={"columns": ["id"]})
        await house.services.runner.run(UUID(accepted.raise_for_status().json()["id"]))
        (rows, is_exact) = expected.pop()
        assert is_exact == figures[1]
        assert (rows is None) == (figures[0] is None)
        assert rows is None or abs(rows - 40_000) < 4_000


async def test_filters_of_a_stream_travel_in_its_body(house: House) -> None:
    """An address ends up in the logs of every proxy; a body does not."""
    body = {"format": "ndjson", "columns": ["id"], "filters": {"email": {"prefix": "e1@"}}}
    answer = await house.ask(FULL, "POST", "/api/people/export/stream", json=body)
    assert (answer.status_code, answer.text) == (200, '{"id":1}\n')
    refused = await house.ask(USER, "POST", "/api/people/export/stream", json=body)
    assert refused.json()["code"] == "personal_data_denied"
    for more in ({"dry_run": True}, {"compression": "gzip"}, {"filter": {}}):
        wrong = await house.ask(FULL, "POST", "/api/people/export/stream", json=body | more)
        assert wrong.status_code == 422


async def test_estimate_of_time_tells_nothing_of_other_tenants_exports(house: House) -> None:
    ask = {"columns": ["id"], "dry_run": True}
    theirs = await house.job("completed", tenant="globex", export_type="people")
    assert theirs.status == "completed"
    preview = (await house.ask(USER, "POST", "/api/people/export", json=ask)).json()
    assert preview["seconds_from"] == "sample"
    await house.job("completed", tenant="acme", export_type="people")
    preview = (await house.ask(USER, "POST", "/api/people/export", json=ask)).json()
    assert preview["seconds_from"] == "earlier exports"


@pytest.mark.parametrize(
    ("gone", "code"),
    [
        ("[exports.changes]", "unknown_export_type"),
        ('columns = ["id", "name"]\nsince = {', "unknown_column"),
        ('"city"', "unknown_filter"),
    ],
)
async def test_history_of_a_job_that_the_catalog_left_behind_lists_nothing(
    house: House, reopen: Reopen, gone: str, code: str
) -> None:
    """Administrators of a tenant read it, and they may not use all that the catalog has."""
    catalog = """
[exports.changes]
table = "people"
key = "id"
columns = ["id", "name"]
since = { column = "changed", pii = false }
filters = [{ name = "city", pii = false }]

[exports.payroll]
table = "people"
key = "id"
columns = ["id", { name = "grade", pii = "exports:hr" }]
requires = "exports:payroll"
"""
    before = await reopen(catalog)
    body = {"columns": ["name"], "filters": {"city": {"eq": "Rome"}}}
    accepted = await before.ask(USER, "POST", "/api/changes/export", json=body)
    export_id = accepted.raise_for_status().json()["id"]
    after = await reopen(
        {
            "unknown_export_type": catalog.replace(gone, "[exports.payslips]"),
            "unknown_column": catalog.replace(gone, 'columns = ["id", "wage"]\nsince = {'),
            "unknown_filter": catalog.replace(gone, '"town", column = "city"'),
        }[code]
    )
    # The job is still theirs to see, and its messages hurt nobody.
    await after.services.runner.run(UUID(export_id))
    shown = (await after.ask(USER, "GET", f"/api/exports/{export_id}")).raise_for_status()
    assert (shown.json()["status"], shown.json()["error"]["code"]) == ("failed", code)
    boss = USER | {"sub": "boss", "scope": USER["scope"] + " exports:admin"}
    letter = await after.ask(boss, "GET", f"/api/admin/dead-letters/{export_id}")
    assert letter.json()["attempts"][0]["error_code"] == code
    for text in (shown.text, letter.text):
        for secret in ("payroll", "payslips", "wage", "town", "grade"):
            assert secret not in text
