from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adrkit.document import Span
from adrkit.model import ReferenceKind, RelationKind, SectionName, Status, VerdictKind
from adrkit.record import Record
from adrkit.vocabulary import read_status, read_title, read_verdict, record_numbers

HOUSE = """# ADR-0007: Async Exports

**Date:** 2026-01-31
**Status:** Superseded by [ADR-0009](0009-streaming.md)
**Context:** [SHRED-2119](https://tickets.example/SHRED-2119)

## Decision

Use an asynchronous job. More follows.

## Context

As `ADR-0002` and ADR-0003 say, see [the queue](0004-queue.md#why) and `app/tasks/export.py:12`.

## Alternatives Considered

| Approach | Pros | Cons | Verdict |
|----------|------|------|---------|
| **Sync** | Simple | Slow | ❌ Rejected - exceeds limits |
| **Async** | Scales | Complex | ✅ **Chosen** - meets the scale |
| **`a|b`** | x | y | ⏸️ Future consideration - later |

## Decision Rationale

Why.

## Consequences

### Positive

- Fast
  - nested

### Negative

- Complex

### Risks & Mitigations

| Risk | Impact | Likelihood | Mitigation |
|------|--------|------------|------------|
| Backlog | High (delay) | Med | Scale |

## Related

- **TDD:** docs/design.md
- **Supersedes:** [ADR-0001](0001-old.md)

```adr-check
kind = "path-exists"
```
"""


_SUPERSEDES_LINE = "- **Supersedes:** [ADR-0001](0001-old.md)"


def test_house_record_is_read_in_full() -> None:
    record = Record.from_text(HOUSE, Path("docs/adr/0007-async-exports.md"))
    assert record.dialect.name == "house"
    assert (record.number, record.name) == (7, "Async Exports")
    assert record.date_value is not None
    assert record.date_value.isoformat() == "2026-01-31"
    assert record.status is not None
    assert (record.status.kind, record.status.successors) == (Status.SUPERSEDED, (9,))
    assert record.status.line == 4
    assert record.context_link is not None
    assert "SHRED-2119" in record.context_link.value
    assert record.decision is not None
    assert (record.decision.text, record.decision.line) == (
        "Use an asynchronous job. More follows.", 9,
    )  # fmt: skip
    assert [name.value for name in record.sections] == [
        "decision", "context", "alternatives", "rationale", "consequences", "positive", "negative",
        "risks", "related",
    ]  # fmt: skip


def test_alternatives_carry_verdict_reason_line_and_raw_cells() -> None:
    options = Record.from_text(HOUSE).alternatives
    kinds = [option.verdict.kind if option.verdict else None for option in options]
    assert kinds[:2] == [VerdictKind.REJECTED, VerdictKind.CHOSEN]
    assert options[1].approach == "Async"
    assert options[1].verdict is not None
    assert options[1].verdict.reason == "meets the scale"
    assert [option.line for option in options] == [19, 20, 21]
    assert [(o.raw_cell_count, o.column_count) for o in options] == [(4, 4), (4, 4), (5, 4)]


def test_consequences_and_risks_are_split() -> None:
    record = Record.from_text(HOUSE)
    assert [item.text.splitlines()[0] for item in record.consequences.positive] == ["Fast"]
    assert [item.text for item in record.consequences.negative] == ["Complex"]
    assert [(risk.risk, risk.impact, risk.likelihood) for risk in record.risks] == [
        ("Backlog", "High (delay)", "Med")
    ]


def test_references_exclude_code_and_the_record_s_own_title() -> None:
    record = Record.from_text(HOUSE)
    found = [(r.number, r.kind, r.target) for r in record.references]
    assert found == [
        (9, ReferenceKind.LINK, "0009-streaming.md"),
        (3, ReferenceKind.CITATION, None),
        (4, ReferenceKind.LINK, "0004-queue.md#why"),
        (1, ReferenceKind.LINK, "0001-old.md"),
    ]


def test_relations_come_from_status_and_related() -> None:
    record = Record.from_text(HOUSE)
    assert [(r.kind, r.number, r.line) for r in record.relations] == [
        (RelationKind.SUPERSEDED_BY, 9, 4),
        (RelationKind.SUPERSEDES, 1, HOUSE.splitlines().index(_SUPERSEDES_LINE) + 1),
    ]


def test_cited_paths_are_cut_from_line_numbers() -> None:
    record = Record.from_text(HOUSE)
    cited = record.cited_paths[0]
    assert (cited.path, cited.fragment, cited.line) == ("app/tasks/export.py", ":12", 13)


@pytest.mark.parametrize("code", ["os.path", "a | b", "GET /users", "n/a b", "https://x.example/y"])
def test_code_that_is_no_path_is_not_cited(code: str) -> None:
    assert Record.from_text(f"# T\n\n`{code}`\n").cited_paths == ()


def test_check_blocks_keep_raw_text_and_line() -> None:
    check = Record.from_text(HOUSE).checks[0]
    assert check.content == 'kind = "path-exists"\n'
    assert HOUSE.splitlines()[check.content_line - 1] == 'kind = "path-exists"'


@given(st.text(max_size=300))
def test_arbitrary_text_never_breaks_a_record(text: str) -> None:
    record = Record.from_text(text)
    _ = (
        record.title, record.titles, record.date_value, record.status, record.sections,
        record.duplicate_sections, record.decision, record.alternatives, record.consequences,
        record.risks, record.related, record.references, record.relations, record.cited_paths,
        record.checks, record.word_count, record.label,
    )  # fmt: skip


def test_empty_record_has_nothing_and_says_so() -> None:
    record = Record.from_text("")
    assert record.title is None
    assert record.number is None
    assert record.status is None
    assert record.decision is None
    assert record.alternatives == ()


def test_two_titles_are_both_reported_with_lines() -> None:
    record = Record.from_text("# ADR-0001: One\n\n# ADR-0002: Two\n")
    assert [(title.number, title.line) for title in record.titles] == [(1, 1), (2, 3)]


def test_status_may_run_over_lines_as_markdown_renders_it() -> None:
    record = Record.from_text(
        "# ADR-1: T\n\n**Status:** Accepted — but\nnot yet done\n**Owner:** A\n"
    )
    assert record.status is not None
    assert record.status.raw == "Accepted — but not yet done"
    assert record.status.note == "but not yet done"


@pytest.mark.parametrize("style", ["**Status:** Proposed", "**Status**: Proposed"])
def test_bold_status_in_either_spelling_is_house(style: str) -> None:
    record = Record.from_text(f"# ADR-0001: T\n\n{style}\n")
    assert (record.dialect.name, record.status_kind) == ("house", Status.PROPOSED)


def test_nygard_record_is_read_with_relations() -> None:
    text = (
        "# 4. DNS\n\nDate: 2017-07-04\n\n## Status\n\nSuperceded by [15. DNS](0015-dns.md)\n\n"
        "Amends [2. Hosts](0002-hosts.md)\n\n## Context\n\nc\n\n## Decision\n\nd\n"
    )
    record = Record.from_text(text, Path("0004-dns.md"))
    assert record.dialect.name == "nygard"
    assert (record.number, record.name) == (4, "DNS")
    assert record.status is not None
    assert record.status.kind is Status.SUPERSEDED
    assert record.status.misspelled
    assert record.date is not None
    assert [(r.kind, r.number) for r in record.relations] == [
        (RelationKind.SUPERSEDED_BY, 15),
        (RelationKind.AMENDS, 2),
    ]


MADR = """---
status: "accepted; supersedes ADR-0045"
date: 2026-05-27
---
# Allow Arguments

## Context and Problem Statement

Why?

## Considered Options

* Flags only
* Positional `FILE`
* Both

## Decision Outcome

Chosen option: "Positional `FILE`", because it is short.

### Consequences

* Good, because short
* Bad, because ambiguous

## Pros and Cons of the Options

### Flags only

* Good, because explicit
* Bad, because long
"""


def test_madr_record_with_front_matter_is_read() -> None:
    record = Record.from_text(MADR, Path("0057-allow-arguments.md"))
    assert record.dialect.name == "madr"
    assert (record.number, record.status_kind, record.supersedes) == (57, Status.ACCEPTED, (45,))
    assert [option.approach for option in record.alternatives] == [
        "Flags only", "Positional FILE", "Both",
    ]  # fmt: skip
    assert [option.approach for option in record.chosen] == ["Positional FILE"]
    verdict = record.chosen[0].verdict
    assert verdict is not None
    assert verdict.reason == "it is short."
    assert record.alternatives[0].cons == "Bad, because long"
    assert len(record.consequences.negative) == 1


def test_madr_2_bullet_metadata_is_read() -> None:
    text = (
        "# T\n\n* Status: accepted\n* Deciders: A, B\n* Date: 2020-01-02\n\n"
        "Technical Story: [X](https://x.example)\n\n## Context and Problem Statement\n\n"
        '## Considered Options\n\n* A\n\n## Decision Outcome\n\nChosen option: "A", because b.\n'
    )
    record = Record.from_text(text)
    assert (record.dialect.name, record.status_kind) == ("madr", Status.ACCEPTED)
    assert record.date is not None
    assert record.date.value == "2020-01-02"
    assert record.header.fields["deciders"].value == "A, B"
    assert record.context_link is not None


@pytest.mark.parametrize(
    ("raw", "kind", "reason"),
    [
        ("✅ **Chosen** - fits", VerdictKind.CHOSEN, "fits"),
        ("❌ Rejected - slow", VerdictKind.REJECTED, "slow"),
        ("❌ Rejected: slow – very", VerdictKind.REJECTED, "slow – very"),
        ("⏸️ Future consideration - later", VerdictKind.FUTURE, "later"),
        ("⏸ Future consideration", VerdictKind.FUTURE, ""),
        ("**Chosen**", VerdictKind.CHOSEN, ""),
        ("✅ Chosen -", VerdictKind.CHOSEN, ""),
        ("maybe", None, "maybe"),
        ("", None, ""),
    ],
)
def test_verdicts_are_read_with_their_reason(
    raw: str, kind: VerdictKind | None, reason: str
) -> None:
    verdict = read_verdict(raw, Span(0, len(raw)), 1)
    assert (verdict.kind, verdict.reason) == (kind, reason)


@pytest.mark.parametrize(
    ("raw", "kind", "successors"),
    [
        ("Proposed", Status.PROPOSED, ()),
        ("**Accepted**", Status.ACCEPTED, ()),
        ("superceded by ADR-0012", Status.SUPERSEDED, (12,)),
        ("Superseded by [7. Title](0007-title.md)", Status.SUPERSEDED, (7,)),
        ("Superseded by ADR-0007 and ADR-0008", Status.SUPERSEDED, (7, 8)),
        ("Superseded", Status.SUPERSEDED, ()),
        ("Partly superseded", None, ()),
        ("", None, ()),
    ],
)
def test_statuses_are_read_with_their_successors(
    raw: str, kind: Status | None, successors: tuple[int, ...]
) -> None:
    status = read_status(raw, Span(0, len(raw)), 1)
    assert (status.kind, status.successors) == (kind, successors)


@pytest.mark.parametrize(
    ("raw", "number", "text"),
    [
        ("ADR-0001: Use It", 1, "Use It"),
        ("ADR-020a: Context", 20, "Context"),
        ("12. Security Groups", 12, "Security Groups"),
        ("0008 - Use It", 8, "Use It"),
        ("3 Ways to Fail", None, "3 Ways to Fail"),
        ("2FA for Everyone", None, "2FA for Everyone"),
        ("ADR for OCR", None, "ADR for OCR"),
        ("Use It", None, "Use It"),
    ],
)
def test_titles_are_split_from_their_number(raw: str, number: int | None, text: str) -> None:
    title = read_title(raw, Span(0, len(raw)), 1)
    assert (title.number, title.text) == (number, text)


def test_numbers_are_never_read_as_octal() -> None:
    assert record_numbers("ADR-0010 and [x](0018-y.md)") == (10, 18)


def test_first_of_two_sections_counts_and_the_second_is_reported() -> None:
    record = Record.from_text("# T\n\n## Decision\n\na\n\n## Decision\n\nb\n")
    assert record.section_text(SectionName.DECISION) == "a"
    assert [section.line for _, section in record.duplicate_sections] == [7]


def test_status_of_a_heading_over_two_lines_has_the_line_of_its_value() -> None:
    status = Record.from_text("# T\n\nStatus\n: Accepted\n---\n").status
    assert status is not None
    assert (status.raw, status.line) == ("Accepted", 4)
