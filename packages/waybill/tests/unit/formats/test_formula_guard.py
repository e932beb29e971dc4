"""The rule that decides which text a spreadsheet would calculate."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from waybill.catalog.resolved import ResolvedColumn
from waybill.formats.formula_guard import (
    HEAD_CHARACTERS,
    INTACT_TYPES,
    MODE,
    guard,
    is_guarded_column,
    is_guarded_type,
    needs_guard,
    unguard,
)

# Mostly what the rule is about, so that short examples hit it.
texts = st.text(
    st.sampled_from("'=+-@＝＋－＠\t\r\n \u00a0\u200b\ufeff0123456789.,()/eE%aé漢\"\\")
    | st.characters(),
    max_size=80,
)


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "=cmd|' /C calc'!A0",
        "+SUM(A1:A9)",
        "-2+3",
        "@SUM(1)",
        "-",
        "@handle",
        "＝1+1",
        "＋1",
        "－1",
        "＠SUM(1)",
        "\t=1",
        "\tharmless",
        "\r",
        "\nharmless",
        " =1",
        "   +cmd",
        "\u00a0=1",
        "\u3000=1",
        "\u200b=1",
        "\ufeff=1",
        "\u202e=1",
        "\x0b=1",
        "\x1f-cmd",
    ],
)
def test_text_that_a_spreadsheet_may_calculate_is_guarded(text: str) -> None:
    assert guard(text) == "'" + text


@pytest.mark.parametrize(
    "text",
    ["", "Ada", "a=1", "1+1", "'quoted'", "'", "''", " ", "  indented", "2024-01-31", "(=1)", "–5"],
)
def test_other_text_is_left_alone(text: str) -> None:
    assert guard(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "-5",
        "+3.14",
        "-1,234.56",
        "-1.234,56",
        "-1 234",
        "-1\u202f234,5",
        "-1'000",
        "-.5",
        "-1e-9",
        "+12%",
        " -5",
        "-5 ",
    ],
)
def test_a_signed_number_stays_intact(text: str) -> None:
    assert guard(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "+15551234567",
        "+1 555 123 4567",
        "+1 (555) 123-4567",
        "+1-555-123-4567",
        "+1.555.123.4567",
        "+44 (0)20 7946 0958",
        "+49 30/1234567",
        "+ 49 30 1234567",
        "+123456789012345",
        "+1-2-3-4-5-6-7",
        " +15551234567 ",
    ],
)
def test_a_telephone_number_stays_intact(text: str) -> None:
    assert guard(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "+1-2",
        "+1/2",
        "-5+3",
        "--5",
        "+-5",
        "-5A",
        "-A1",
        "+1-2-3-4-5-6",
        "+1 555 123 4567;=1",
        "+15551234567\n",
        "+15551234567=1",
        "-1e",
        "-1..2",
        "-１",
        "-٣",
        "=5",
        "@5",
        "\t-5",
        "-" + "1" * HEAD_CHARACTERS,
    ],
)
def test_what_only_resembles_a_number_is_guarded(text: str) -> None:
    assert guard(text) == "'" + text


def test_apostrophes_before_a_formula_are_told_from_the_guard() -> None:
    assert guard("=1") == "'=1"
    assert guard("'=1") == "''=1"
    assert guard("''=1") == "'''=1"
    assert [unguard(guard(x)) for x in ("=1", "'=1", "''=1")] == ["=1", "'=1", "''=1"]


@pytest.mark.parametrize("hidden", [" ", "\u200b", "'"])
def test_a_sign_hidden_behind_more_than_the_head_is_guarded(hidden: str) -> None:
    assert needs_guard(hidden * HEAD_CHARACTERS + "=1")
    assert needs_guard(hidden * 10_000)


def test_of_a_value_that_shows_nothing_64_characters_are_looked_at() -> None:
    assert not needs_guard(" " * 63 + "x")
    assert needs_guard(" " * 64 + "x")


def test_rule_of_this_name_decides_about_every_character_as_it_always_did() -> None:
    # Files that were guarded under a name are restored by its rule: another rule, another name.
    assert MODE == "apostrophe"
    decided = bytes(
        needs_guard(chr(code) + suffix) for code in range(0x10000) for suffix in ("", "=1", "5")
    )
    assert hashlib.sha256(decided).hexdigest() == (
        "fc9335cecec1a512f1167e898d18e3f50f4b81bb1c6c45ecf7abc7a0cb7cae98"
    )


def test_a_value_of_any_length_is_decided_by_its_head() -> None:
    assert needs_guard("=" + "x" * 10_000_000)
    assert not needs_guard(" x" + "=" * 10_000_000)


@given(texts)
@example("'" * (HEAD_CHARACTERS - 1) + "=1")
@example("'" * HEAD_CHARACTERS + "=1")
@example("'" + " " * (HEAD_CHARACTERS - 1) + "=1")
@example("'-" + "1" * (HEAD_CHARACTERS - 2))
@example("\0=1")
def test_unguard_restores_every_text(text: str) -> None:
    assert unguard(guard(text)) == text


@given(texts)
def test_unguard_changes_nothing_that_guard_could_not_have_made(text: str) -> None:
    restored = unguard(text)
    assert restored == text or guard(restored) == text


@given(texts)
@example(" \n")
def test_a_guarded_text_begins_with_a_sign_only_if_it_is_a_number(text: str) -> None:
    guarded = guard(text)
    # TAB, CR and LF count at the very start; behind blanks only a sign does.
    assert guarded[:1] not in set("\t\r\n")
    if guarded.lstrip(" ")[:1] in set("=+-@＝＋－＠"):
        assert set(guarded) <= set("+-0123456789.,'()/%eE \u00a0\u202f\u2010\u2011")
        assert not guarded.lstrip(" ").startswith(("=", "@"))


@given(texts)
def test_whatever_starts_with_a_sign_and_holds_a_letter_or_reference_is_guarded(text: str) -> None:
    assert guard("=" + text).startswith("'")
    assert guard("@" + text).startswith("'")
    assert guard("+cmd" + text).startswith("'")
    assert guard("-A1" + text).startswith("'")


def test_numbers_dates_and_unknown_types_are_told_apart() -> None:
    oid = {name: number for number, name in INTACT_TYPES.items()}
    assert not is_guarded_type(oid["numeric"])
    assert not is_guarded_type(oid["interval"])
    text, varchar, an_extension_type = 25, 1043, 16_500
    assert all(map(is_guarded_type, (text, varchar, an_extension_type)))


@pytest.mark.parametrize(
    ("type_name", "oid", "guarded"),
    [
        ("text", 25, True),
        ("text[]", 1009, False),
        ("integer", 23, False),
        ("integer[]", 1007, False),
    ],
)
def test_arrays_and_numbers_are_columns_without_a_guard(
    type_name: str, oid: int, guarded: bool
) -> None:
    assert is_guarded_column(ResolvedColumn("c", "c", type_name, oid, oid)) is guarded
