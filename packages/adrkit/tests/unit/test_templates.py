from __future__ import annotations

import datetime

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
