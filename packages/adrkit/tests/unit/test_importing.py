from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adrkit.errors import RecordExists
from adrkit.importing import (
    ImportedRecord,
    Moves,
    apply_import,
    convert,
    lost_words,
    plan_import,
)
from adrkit.model import SectionName, Status, VerdictKind
from adrkit.record import Record

SOURCE = Path("/project/doc/decisions")
TARGET = Path("/project/docs/adr")

MADR = """---
status: superceded by [ADR-0009](0009-use-logs.md)
date: 2024-05-01
decision-makers: Ada, Grace
---
# Use Queues

## Context and Problem Statement

Work outlives requests. See [the plan](../plan.md) and [RFC][rfc].

[rfc]: ../rfc/1.md

## Decision Drivers

* Cost

## Considered Options

* Queue
* Cron `a|b`
* Nothing

## Decision Outcome

Chosen option: "Queue", because it retries.

### Consequences

* Good, because retries are free
* Bad, because it needs a broker
* Neutral, because it is new

### Confirmation

The test `tests/test_queue.py::test_retry` passes and `src/queue.py` stays.

## Pros and Cons of the Options

### Queue

* Good, because it retries
* Bad, because a broker | two must run

### Cron `a|b`

* Bad, because it is late

## More Information

None of it is final, see ADR-0009.

## Glossary

### Terms

Broker: a middleman.
"""

NYGARD = """# 12. Use Logs

Date: 2017-01-02

## Status

Accepted

Supersedes [3. Use Queues](0003-use-queues.md)

## Context

Queues were slow.

## Decision

We will use logs.

## Consequences

Faster.
"""


def imported(text: str, name: str = "0003-use-queues.md", **options: object) -> ImportedRecord:
    source = Record.from_text(text, SOURCE / name)
    (record,) = plan_import([source], TARGET, **options).records  # type: ignore[arg-type]
    return record


def as_record(done: ImportedRecord) -> Record:
    return Record.from_text(done.content.decode(), done.path)


def test_madr_record_is_read_back_as_a_house_record() -> None:
    done = imported(MADR)
    record = as_record(done)
    assert done.path == TARGET / "0003-use-queues.md"
    assert record.dialect.name == "house"
    assert (record.number, record.name) == (3, "Use Queues")
    assert record.date is not None
    assert record.date.value == "2024-05-01"
    assert record.status is not None
    assert record.status.raw == "Superseded by ADR-0009"
    assert record.decision is not None
    assert record.decision.plain == 'Chosen option: "Queue", because it retries.'
    assert [item.text for item in record.consequences.positive] == [
        "Good, because retries are free"
    ]
    assert [item.text for item in record.consequences.negative] == [
        "Bad, because it needs a broker"
    ]
    assert [item.text for item in record.consequences.other] == ["Neutral, because it is new"]
    assert record.checks == ()


def test_options_become_a_table_whose_rows_keep_their_verdict() -> None:
    record = as_record(imported(MADR))
    assert [
        (o.approach, o.verdict and o.verdict.kind, o.raw_cell_count) for o in record.alternatives
    ] == [
        ("Queue", VerdictKind.CHOSEN, 4),
        ("Cron a\\|b", VerdictKind.REJECTED, 4),
        ("Nothing", VerdictKind.REJECTED, 4),
    ]
    queue, cron, nothing = record.alternatives
    assert (queue.pros, queue.cons) == ("it retries", "a broker \\| two must run")
    assert cron.verdict is not None
    assert cron.verdict.reason == "it is late"
    assert nothing.verdict is not None
    assert nothing.verdict.reason == "the source gives no reason"


def test_confirmation_goes_to_the_implementation_notes_with_inert_checks() -> None:
    text = as_record(imported(MADR)).section_text(SectionName.IMPLEMENTATION)
    assert text is not None
    assert text.startswith("### Confirmation\n\nThe test `tests/test_queue.py::test_retry` passes")
    assert '[[test]]\nnode = "tests/test_queue.py::test_retry"' in text
    assert '[[path-exists]]\npath = "src/queue.py"' in text


def test_unknown_sections_and_the_header_are_kept_in_the_appendix() -> None:
    text = as_record(imported(MADR)).section_text(SectionName.APPENDIX)
    assert text is not None
    assert "### Glossary\n\n#### Terms\n\nBroker: a middleman." in text
    assert "decision-makers: Ada, Grace" in text


def test_relative_links_lead_where_they_led() -> None:
    text = imported(MADR).content.decode()
    assert "[the plan](../../doc/plan.md)" in text
    assert "[rfc]: ../../doc/rfc/1.md" in text


def test_links_between_imported_records_follow_their_new_names() -> None:
    queues = Record.from_text(MADR, SOURCE / "ADR-3_Use_Queues.md")
    logs = Record.from_text(
        NYGARD.replace("0003-use-queues.md", "ADR-3_Use_Queues.md#status"),
        SOURCE / "0012-use-logs.md",
    )
    done = plan_import([queues, logs], TARGET, taken={3}).records
    assert [record.path.name for record in done] == ["0013-use-queues.md", "0012-use-logs.md"]
    assert done[0].notes[0] == "number 0003 is taken: 0013 is used"
    record = as_record(done[1])
    assert record.supersedes == (13,)
    assert "- **Supersedes:** [ADR-0013](0013-use-queues.md)" in record.document.text
    assert "0013-use-queues.md#status" in record.document.text


def test_citation_of_a_renumbered_record_is_renumbered() -> None:
    one = Record.from_text("# 1. One\n\n## Status\n\nAccepted\n", SOURCE / "0001-one.md")
    two = Record.from_text(
        "# 2. Two\n\n## Status\n\nAccepted\n\n## Context\n\nSee ADR-0001, `ADR-0001`.\n",
        SOURCE / "0002-two.md",
    )
    done = plan_import([one, two], TARGET, taken={1}).records
    assert [record.number for record in done] == [3, 2]
    assert "See ADR-0003, `ADR-0001`." in done[1].content.decode()


def test_two_records_of_one_number_both_arrive() -> None:
    records = [
        Record.from_text(NYGARD, SOURCE / name) for name in ("0012-a.md", "0012-b.md", "0013-c.md")
    ]
    done = plan_import(records, TARGET).records
    assert [record.path.name for record in done] == ["0012-a.md", "0014-b.md", "0013-c.md"]


def test_nygard_record_keeps_what_it_has_and_says_what_it_has_not() -> None:
    record = as_record(imported(NYGARD, "0012-use-logs.md"))
    assert record.section_text(SectionName.DECISION) == "We will use logs."
    assert record.section_text(SectionName.ALTERNATIVES) == "Not recorded in the source."
    assert record.status_kind is Status.ACCEPTED


def test_missing_status_and_date_are_noted() -> None:
    text = "# 1. T\n\n## Status\n\n## Context\n\nc\n"
    done = imported(text, "0001-t.md", assumed_status=Status.PROPOSED)
    assert done.notes == (
        "no date: fill in the placeholder",
        "no status: Proposed, as was asked for",
    )
    assert b"**Date:** 2020-02-02" in imported(text, date_of=lambda _: "2020-02-02").content


def test_line_endings_of_the_source_are_kept() -> None:
    content = imported(NYGARD.replace("\n", "\r\n")).content
    assert content.count(b"\n") == content.count(b"\r\n") > 20


@pytest.mark.parametrize("opening", ["```", "~~~~", "<!--", "<script>", "<pre>", "<![CDATA["])
def test_open_block_at_the_end_swallows_no_section(opening: str) -> None:
    for heading in ("## Decision", "## Consequences", "## Status", "## Considered Options"):
        text = f"# 1. T\n\n## Status\n\nAccepted\n\n## Context\n\nc\n\n{heading}\n\n{opening}\nx\n"
        record = as_record(imported(text))
        found = {section.heading.text for section in record.document.sections}
        assert {"Decision", "Context", "Consequences", "Appendix", "Source"} <= found, heading


def test_second_title_does_not_hide_the_sections_below_it() -> None:
    record = as_record(imported(NYGARD.replace("## Context", "# Again\n\n## Context")))
    assert record.section_text(SectionName.CONTEXT) == "Queues were slow."
    assert record.document.text.count("### Again") == 1


def test_existing_file_is_not_overwritten_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "0002-b.md").write_text("mine")
    records = [Record.from_text(NYGARD, SOURCE / name) for name in ("0001-a.md", "0002-b.md")]
    with pytest.raises(RecordExists):
        plan_import(records, tmp_path)
    (tmp_path / "0002-b.md").unlink()
    plan = plan_import(records, tmp_path)
    (tmp_path / "0002-b.md").write_text("mine")
    with pytest.raises(RecordExists):
        apply_import(plan, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["0002-b.md"]


LINES = st.sampled_from(
    [
        "# 7. Title", "# Two *titles*", "Title", "=====", "-----", "Date: 2020-01-01",
        "* Status: accepted", "**Status:** Accepted", "---", "status: x", "## Status", "Accepted",
        "Superceded by [5. X](0005-x.md)", "## Context and Problem Statement",
        "## Considered Options",
        "* Option `a|b`", "1. First", "  continued", "  * nested", "## Decision Outcome",
        'Chosen option: "Option", because why', "### Consequences", "* Good, because g",
        "* Bad, because b", "### Positive Consequences", "### Confirmation", "`src/a.py`",
        "## Pros and Cons of the Options", "### Option", "#### Deep", "###### Deepest", "## Own",
        "## Links", "* Supersedes [4. Y](0004-y.md)", "```python", "```", "~~~", "<!-- c", "-->",
        "<div>", "</div>", "> quote", "> ## Quoted", "| a | b |", "|---|---|", "| c |", "    code",
        "[ref]: ../x.md", "[a](b.md) ADR-0004", "\t", "", "", "", "## Appendix", "Setext\nof two",
    ]
) | st.text(st.characters(codec="utf-8"), max_size=12)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(LINES, max_size=25), st.sampled_from(["\n", "\r\n", "\r"]))
def test_no_word_of_any_text_is_lost(lines: list[str], eol: str) -> None:
    source = Record.from_text(eol.join(lines), SOURCE / "0007-title.md")
    done = convert(source, 7, TARGET / "0007-title.md", Moves())
    kept = convert(source, 7, SOURCE / "0007-title.md", Moves())
    # In the same directory no link changes, so that every word has to be there as it was.
    assert lost_words(source.document.text, kept.text) == {}
    assert done.text.startswith("# ADR-0007: ")
