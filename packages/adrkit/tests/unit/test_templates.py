from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest

from adrkit.errors import TemplateError
from adrkit.model import SectionName, VerdictKind
from adrkit.record import Record
from adrkit.templates import (
    TemplateValues,
    house_placeholders,
    render,
    render_first_record,
    template_source,
)


def test_house_template_is_a_record_of_the_house_dialect_with_every_section() -> None:
    record = Record.from_text(render(None, TemplateValues(number=7, title="T", status="Proposed")))
    assert (record.dialect.name, record.title_number) == ("house", 7)
    expected = set(SectionName) - {
        SectionName.STATUS, SectionName.DRIVERS, SectionName.ALTERNATIVES_DETAIL,
        SectionName.CONFIRMATION,
    }  # fmt: skip
    assert set(record.sections) == expected
    kinds = [option.verdict.kind for option in record.alternatives if option.verdict]
    assert kinds == [VerdictKind.REJECTED, VerdictKind.CHOSEN, VerdictKind.FUTURE]


def test_placeholders_are_what_the_template_leaves_to_the_author() -> None:
    found = house_placeholders()
    assert "[State the architecture decision in one clear sentence]" in found
    assert "[High/Med/Low]" in found
    assert "[NNNN]" in found
    assert "[Link to ADR this replaces, if applicable]" in found
    assert not any("](" in placeholder for placeholder in found)


def test_first_record_has_nothing_left_to_fill_in() -> None:
    today = datetime.date(2026, 1, 31).isoformat()
    text = render_first_record(TemplateValues(number=1, title="Record Decisions", date=today))
    assert not any(placeholder in text for placeholder in house_placeholders())
    record = Record.from_text(text)
    assert len(record.chosen) == 1
    assert {option.raw_cell_count for option in record.alternatives} == {4}


def test_template_source_is_what_rendering_starts_from() -> None:
    assert "{{ number_text }}" in template_source(None)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ 'a' * 10**10 }}", "memory"),
        ("{{ '%9999999999d' % 1 }}", "memory"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "memory"),
        ("{{ 'a' * 2000000 }}", "more than a million characters"),
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
            "{% endfor %}{% endfor %}{% endfor %}",
            "takes too long",
        ),
        ("{{ title.__class__ }}", "unsafe"),
        ("\n{{ x", ":2: "),
        ("{{ nope }}", "'nope' is undefined"),
        ("{{ '{x}'.format() }}", "KeyError: 'x'"),
        ("{{ '{0}'.format() }}", "IndexError: "),
        ("{{ [].pop() }}", "IndexError: pop from empty list"),
        (r"{{ '\ud800' }}", "half a character"),
        ("{{ {}.popitem() }}", "KeyError: "),
    ],
)
def test_template_of_a_checkout_ends_in_a_sentence(tmp_path: Path, source: str, said: str) -> None:
    template = tmp_path / "template.md.j2"
    template.write_text(source, encoding="utf-8")
    with pytest.raises(TemplateError, match=re.escape(said)):
        render(template, TemplateValues(number=7))


def test_template_of_a_checkout_is_rendered_as_ours_are(tmp_path: Path) -> None:
    values = TemplateValues(number=7, title="Café → é", supersedes=("[a](b.md)",))
    template = tmp_path / "template.md.j2"
    template.write_bytes(b"\xef\xbb\xbf" + template_source(None).replace("\n", "\r\n").encode())
    made = render(template, values)
    assert "\r\n" in made
    assert made.replace("\r\n", "\n") == render(None, values)
