"""The catalogue of the pages: whole in every language, and every text is used."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import waybill.web
from waybill.jobs.explanations import EXPLANATIONS
from waybill.jobs.job import ExportStatus
from waybill.principal import is_identifier
from waybill.web.element import MODULE
from waybill.web.texts import LANGUAGES, Texts, language_of
from waybill.web.texts_de import EXPLANATIONS_DE
from waybill.web.values import duration, number, roughly, size, visible

WEB = Path(waybill.web.__file__).parent


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_language_has_every_text_with_the_same_places_to_fill() -> None:
    english = LANGUAGES["en"]
    for texts in LANGUAGES.values():
        assert set(texts) == set(english)
        assert [key for key in texts if fields(texts[key]) != fields(english[key])] == []
        assert [key for key in texts if not texts[key].strip()] == []


NUMBERS = {"n", "rows", "limit", "percent", "attempt", "most"}
# A number that no noun follows: the same words for one and for many.
ALONE = {
    "watch.of_rows", "watch.of_about_rows", "types.personal", "operate.highest",
    "operate.worker_says", "operate.dead.show", "says.retry",
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_beside_a_noun_has_a_form_for_one(language: str) -> None:
    texts, say = LANGUAGES[language], Texts(language)
    numbered = {key for key, text in texts.items() if fields(text) & NUMBERS}
    with_one = {key for key in texts if f"{key}.one" in texts}
    assert {key for key in numbered if not key.endswith(".one")} == with_one - {
        "watch.left_out"  # as many as it names
    } | ALONE
    for key in with_one:
        values = dict.fromkeys(fields(texts[key]), 1)
        one, two, none = (say(key, count=count, **values) for count in (1, 2, 0))
        assert one == texts[f"{key}.one"].format(**values)
        assert one != two == none


# A script fills it in, and is given both forms.
SAID = """data-said="{{ t('progress.said') }}" data-said-one="{{ t('progress.said', count=1) }}\""""


def test_whoever_asks_for_such_a_text_says_the_number() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in WEB.glob("templates/*.html"))
    assert SAID in pages
    pages = pages.replace(SAID, "{{ t('progress.said', count=1) }}")
    module = " ".join((WEB / "element" / MODULE).read_text(encoding="utf-8").split())
    plural = {key.removesuffix(".one") for key in LANGUAGES["en"] if key.endswith(".one")}
    for key in plural:
        name = re.escape(key)
        found = re.findall(rf"\bt\('{name}'(.)", pages)
        counted = re.findall(rf"\bt\('{name}', count=", pages)
        calls = re.findall(rf'#t\("{name}", \{{[^{{}}]*\}}(, [a-z])?', module)
        assert len(found) == len(counted), key
        assert all(calls), key
        assert found or calls, key


def test_every_failure_is_explained_in_german_too() -> None:
    assert set(EXPLANATIONS_DE) == set(EXPLANATIONS)
    assert Texts("de").explain("no such code") == EXPLANATIONS_DE["internal_error"]
    assert Texts("en").explain("no such code") == EXPLANATIONS["internal_error"]


def test_every_text_that_a_page_asks_for_is_there() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in WEB.glob("templates/*.html"))
    asked = set(re.findall(r"\bt\('([a-z_.]+[a-z_])'(?:[,)]| if)", pages))
    assert len(asked) > 50
    assert asked - set(LANGUAGES["en"]) == set()
    assert {f"status.{status.value}" for status in ExportStatus} <= set(LANGUAGES["en"])


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-CH,de;q=0.9,en;q=0.8", "de"),
        ("en-US,en;q=0.9,de;q=0.8", "en"),
        ("fr,de;q=0.1", "de"),
        ("de;q=0, en;q=0.1", "en"),
        ("de;q=nan", "en"),
        ("*", "en"),
        ("../../etc;q=1,\x00", "en"),
    ],
)
def test_language_is_the_one_wanted_most(accepted: str, language: str) -> None:
    assert language_of(accepted) == language


def test_values_are_written_as_the_reader_writes_them() -> None:
    assert (number(1234567, "en"), number(1234567, "de")) == ("1,234,567", "1.234.567")
    assert (number(1234.5, "en"), number(1234.5, "de")) == ("1,234.5", "1.234,5")
    assert [roughly(each) for each in (1, 99, 2_000, 14_501, 1_960_000_000)] == [
        1, 99, 2_000, 15_000, 2_000_000_000,
    ]  # fmt: skip
    assert (size(999, "en"), size(1_500_000, "de")) == ("999\u00a0B", "1,5\u00a0MB")
    assert [duration(each) for each in (None, 0, 59, 61, 3_600, 90_000)] == [
        "–", "0 s", "59 s", "1 min 1 s", "1 h", "1 d 1 h",
    ]  # fmt: skip


def test_what_is_invisible_or_turns_the_text_around_is_shown() -> None:
    for code in (0x200B, 0x200F, 0x202E, 0x2066, 0xFEFF, 0x1B):
        assert visible(f"a{chr(code)}b") == f"a⟨U+{code:04X}⟩b"
    for code in (
        0x7F,
        0x85,
        0x034F,
        0x115F,
        0x180B,
        0x2800,
        0x3164,
        0xFE0F,
        0xFFA0,
        0xFFF9,
        0xE0061,
    ):
        assert visible(f"ann{chr(code)}") == f"ann⟨U+{code:04X}⟩"
        assert not is_identifier(f"ann{chr(code)}")
    for text in ("שלום, Ömer 👋", "❤\ufe0f ☎\ufe0e", "two\nlines\tand 한국어"):
        assert visible(text) == text
