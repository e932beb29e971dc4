"""Folders that an application names, and the keys below them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.errors import ConfigurationError, ObjectFolderRefused
from waybill.jobs.job import Lease
from waybill.manifest import manifest_key
from waybill.principal import Principal
from waybill.requests import object_folder
from waybill.requests.object_folder import NewExport, choose_folder, load_folder_of
from waybill.requests.request import ExportRequest
from waybill.results.object_keys import object_key, owner_of

from ...logged import logged

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ANN = Principal("ann", tenant="acme")
STEPS = st.from_regex(r"[A-Za-z0-9_=-][A-Za-z0-9_.=-]{0,20}", fullmatch=True)


def chosen(answer: Any) -> str | None:
    return choose_folder(lambda export: answer, ANN, ExportRequest("users"), NOW)


@given(steps=st.lists(STEPS, min_size=1, max_size=5), export_id=st.uuids(), token=st.uuids())
def test_key_below_a_folder_says_whose_it_is(
    steps: list[str], export_id: UUID, token: UUID
) -> None:
    folder = "/".join(steps)
    assert chosen(folder) == folder
    key = object_key("a/b", folder, Lease(export_id, 3, token))
    assert key.startswith(f"a/b/{folder}/")
    for written in (key, manifest_key(key)):
        owner = owner_of("a/b", written)
        assert owner is not None
        assert (owner.export_id, owner.token, owner.object_key) == (export_id, token, key)
        assert owner.folder == folder
    assert owner_of("a/c", key) is None


def test_two_attempts_in_one_folder_have_two_keys() -> None:
    export_id = uuid4()
    keys = {object_key("exports", "acme", Lease(export_id, n, uuid4())) for n in (1, 1, 2)}
    assert len(keys) == 3


def test_function_is_told_of_the_export_and_nothing_of_its_rows() -> None:
    told: list[NewExport] = []
    request = ExportRequest("users", format="csv", filters={"email": {"eq": "secret"}})
    choose_folder(told.append, ANN, request, NOW)
    assert told == [NewExport("users", "csv", "acme", "ann", NOW)]


@pytest.mark.parametrize("answer", [None, ""])
def test_no_folder_is_none(answer: str | None) -> None:
    assert chosen(answer) is None
    assert choose_folder(None, ANN, ExportRequest("users"), NOW) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("/acme", "empty step"),
        ("acme/", "empty step"),
        ("acme//2026", "empty step"),
        ("/", "empty step"),
        ("..", "step of dots"),
        ("acme/../other", "step of dots"),
        ("acme/.", "step of dots"),
        ("acme corp", "step that is not"),
        ("acme\\2026", "step that is not"),
        ("acme\n", "step that is not"),
        ("Müller", "step that is not"),
        ("٣", "step that is not"),
        ("{tenant}", "step that is not"),
        ("a" * 101, "step that is not"),
        ("a/" * 100 + "a", "201 characters"),
        (b"acme", "a bytes instead of text"),
        (7, "a int instead of text"),
        (["acme"], "a list instead of text"),
    ],
)
def test_what_no_folder_is_called_is_refused_and_logged(
    answer: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = logged(monkeypatch, object_folder)
    with pytest.raises(ObjectFolderRefused, match=said):
        chosen(answer)
    assert [line["event"] for line in lines.entries] == ["object_key.refused"]
    if isinstance(answer, str):
        key = object_key("exports", answer, Lease(uuid4(), 1, uuid4()))
        assert owner_of("exports", key) is None


def test_function_that_raises_is_named_and_its_words_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = logged(monkeypatch, object_folder)

    def folder_of(export: NewExport) -> str:
        raise LookupError("no such shop: secret")

    with pytest.raises(ObjectFolderRefused, match="it raised LookupError") as refused:
        choose_folder(folder_of, ANN, ExportRequest("users"), NOW)
    assert "secret" not in str(refused.value) + str(lines.entries)


@pytest.mark.parametrize("given", [7, NewExport, lambda: "acme", "shop", "no_such_shop:folder_of"])
def test_what_cannot_name_folders_is_refused_at_the_start(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="WAYBILL_OBJECT_KEY"):
        load_folder_of(given)
