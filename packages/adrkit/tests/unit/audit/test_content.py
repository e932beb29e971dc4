"""What may change in a decided record and what may not, without git."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adrkit.audit import Content, differences
from adrkit.record import Record
from adrkit.testing import house

HOUSE = (
    house(1)
    .replace("Use Use Queues for all of it.", "Use one queue\nfor *all* of `src/app.py`.")
    .replace(
        "## Related",
        "## Consequences\n\n### Negative\n\n- Slow\n- Old\n  - Very\n\n"
        "```text\na  b\n```\n\n## Related",
    )
)

MADR = """---
status: accepted
date: 2024-01-01
deciders: Ada
---
# Use Queues

## Decision Outcome

Chosen option: "Queues".

## More Information

Read the book.
"""

NYGARD = """# 1. Use Queues

Date: 2024-01-01

## Status

Accepted

## Decision

We use queues.
"""


def changed(old: str, new: str) -> list[str]:
    return [item.rule for item in differences(_content(old), _content(new))]


def _content(text: str) -> Content:
    return Content(Record.from_text(text))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("**Status:** Accepted", "**Status:** Superseded by ADR-0002"),
        ("**Status:** Accepted", "**Status:** Deprecated\n**Reason:** Deprecated - too slow"),
        ("**Status:** Accepted", "**Status:** accepted  "),
        ("https://tickets.example/SHRED-1", "https://new.example/1"),
        ("Use one queue\nfor", "Use one\nqueue   for"),
        ("*all*", "_all_"),
        ("`src/app.py`.", "`src/main.py`."),
        ("- Slow\n- Old\n  - Very", "* Slow\n* Old\n    * Very"),
        ("- Slow\n- Old", "- Slow\n\n- Old"),
        ("|----------|------|------|---------|", "|:---|---|---|--:|"),
        ("| **Nothing** | Cheap |", "|   **Nothing**   |Cheap|"),
        ("## Decision\n", "Decision\n--------\n"),
        ("## Decision\n\n", "## Decision ##\n"),
        ("- **Code:** `src/app.py`", "- **Code:** `a.py`\n- **Superseded by:** [ADR-2](0002-x.md)"),
        ("## Related\n\n- **Code:** `src/app.py`\n", ""),
        ("```text\na  b\n```", "~~~text\na  b   \n~~~"),
        ("## Related", "<!-- adr-lint: disable=ADR101\nreason='x' -->\n## Related"),
        ("queue\nfor", "queue <!-- note -->\nfor"),
    ],
)
def test_what_carries_no_decision_may_change(before: str, after: str) -> None:
    assert before in HOUSE
    assert changed(HOUSE, HOUSE.replace(before, after, 1)) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("one queue", "two queues"),
        ("one queue\nfor", "one queue\n\nfor"),
        ("*all*", "all"),
        ("- Slow\n", ""),
        ("- Old\n  - Very", "- Old\n- Very"),
        ("❌ Rejected", "⏸️ Future"),
        ("| Known | Old |", "| Old | Known |"),
        ("**Date:** 2026-01-31", "**Date:** 2026-02-01"),
        ("# ADR-0001: Use Queues", "# ADR-0001: Use Lists"),
        ("## Decision", "## Context"),
        ("a  b", "a b"),
        ("```text", "```sql"),
        ("## Related", "More.\n\n## Related"),
        ("## Related", "## Appendix\n\nMore.\n\n## Related"),
        ("- Slow", "1. Slow"),
        ("queue\nfor", "queue <!-- x\nfor"),
    ],
)
def test_content_that_changes_is_found(before: str, after: str) -> None:
    assert before in HOUSE
    assert changed(HOUSE, HOUSE.replace(before, after, 1)) == ["content-changed"]


def test_difference_names_old_and_new_text_and_the_new_line() -> None:
    message, line = found(HOUSE, HOUSE.replace("- Old", "- New"))
    assert message == "was 'Old', is 'New'"
    assert HOUSE.splitlines()[line - 1] == "- Old"


def found(old: str, new: str) -> tuple[str, int]:
    (difference,) = differences(_content(old), _content(new))
    return difference.message, difference.line


def test_difference_says_what_is_new_and_what_is_gone() -> None:
    more = HOUSE + "\n## Appendix\n\nMore.\n"
    lines = more.splitlines()
    assert found(HOUSE, more) == ("'Appendix' is new", lines.index("## Appendix") + 1)
    message, line = found(more, HOUSE)
    assert message == "'Appendix' is gone"
    assert 0 < line <= len(HOUSE.splitlines())


@pytest.mark.parametrize(("length", "shown"), [(80, "w" * 80), (81, "w" * 77 + "...")])
def test_long_texts_are_cut_in_the_message(length: int, shown: str) -> None:
    message, _ = found(HOUSE, HOUSE.replace("- Old", "- " + "w" * length))
    assert message == f"was 'Old', is '{shown}'"


def test_status_that_may_not_be_is_named_with_its_line() -> None:
    for status, shown in (("Proposed", "Proposed"), ("Nonsense", "'Nonsense'")):
        new = house(1, status=status)
        line = new.splitlines().index(f"**Status:** {status}") + 1
        assert found(house(1), new) == (f"the status Accepted became {shown}", line)
    gone = house(1).replace("**Status:** Accepted\n", "")
    assert ("the status Accepted became no status", 1) in {
        (each.message, each.line) for each in differences(_content(house(1)), _content(gone))
    }


def test_check_that_is_gone_is_named_and_amendments_are_counted() -> None:
    bound = HOUSE + "\n## Implementation Notes\n" + BLOCK
    five = bound.replace("value = 3", "value = 5")
    message, line = found(bound, five)
    assert message.startswith("a check is changed or gone: ")
    assert five.splitlines()[line - 1] == "```adr-check"
    assert found(bound, HOUSE)[1] == 1
    twice = HOUSE.replace("## Related", "> **Amended 2026-02-01:** a\n\n" * 2 + "## Related")
    once = HOUSE.replace("## Related", "> **Amended 2026-02-01:** a\n\n## Related")
    assert found(twice, once) == ("the amendment of 2026-02-01 is gone: 'a'", 1)


def test_line_endings_and_byte_order_mark_are_no_content() -> None:
    windows = Record.from_text(HOUSE.replace("\n", "\r\n"))
    assert differences(_content(HOUSE), Content(windows)) == ()


@pytest.mark.parametrize(
    "line",
    [
        "> **Amended 2026-02-01:** the queue is two queues, as it always was.",
        "> **Amended 2026-02-01**: two lines\n> of reason",
        "- **Amended 2026-02-01:** in a list\n  over two lines",
        "**Amended 2026-02-01:** a paragraph",
        "## Amendments\n\n- **Amended 2026-02-01:** under a heading",
    ],
)
def test_amendment_makes_a_correction_visible_and_is_itself_no_content(line: str) -> None:
    amended = HOUSE.replace("## Related", f"{line}\n\n## Related")
    assert changed(HOUSE, amended) == []
    assert changed(HOUSE, amended.replace("one queue", "two queues")) == []
    assert changed(amended, amended.replace("one queue", "two queues")) == ["content-changed"]
    assert "amendment-changed" in changed(amended, HOUSE)
    assert (
        changed(amended, amended.replace("## Related", "> **Amended 2026-02-02:** b\n\n## R")) == []
    )


@pytest.mark.parametrize(
    "line",
    [
        "> **Amended:** no date", "> **Amended 2026-02-31:** no day", "> Amended 2026-02-01: x",
        "> **Amended 2026-02-01:**", "<!-- **Amended 2026-02-01:** hidden -->",
        "```\n> **Amended 2026-02-01:** code\n```",
    ],
)  # fmt: skip
def test_what_is_no_visible_dated_line_is_no_amendment(line: str) -> None:
    wrong = HOUSE.replace("## Related", f"{line}\n\n## Related").replace("one queue", "two queues")
    assert changed(HOUSE, wrong) == ["content-changed"]


def test_amendment_that_changes_is_found_even_beside_a_new_one() -> None:
    old = HOUSE.replace("## Related", "> **Amended 2026-02-01:** a\n\n## Related")
    new = old.replace(":** a\n", ":** b\n")
    assert changed(old, new) == ["amendment-changed"]


@pytest.mark.parametrize(
    ("before", "after", "legal"),
    [
        ("Accepted", "Deprecated", True), ("Accepted", "Superseded by ADR-0009", True),
        ("Superceded by ADR-0003", "Superseded by ADR-0009", True),
        ("Accepted", "Proposed", False), ("Rejected", "Accepted", False),
        ("Superseded by ADR-0009", "Accepted", False), ("Accepted", "Nonsense", False),
    ],
)  # fmt: skip
def test_status_moves_as_the_life_cycle_allows(before: str, after: str, legal: bool) -> None:
    assert changed(house(1, status=before), house(1, status=after)) == (
        [] if legal else ["illegal-move"]
    )


BLOCK = """
```adr-check
[[setting]]
file = "a.py"
attribute = "RETRIES"
value = 3
```
"""


def test_checks_may_be_added_and_follow_the_code_but_not_promise_something_else() -> None:
    bound = HOUSE + "\n## Implementation Notes\n" + BLOCK
    assert changed(HOUSE, bound) == []
    assert changed(bound, bound.replace("a.py", "b/c.py").replace("RETRIES", "TRIES")) == []
    assert changed(bound, bound.replace("[[setting]]", "# words\n[[setting]]\nreason = 'x'")) == []
    assert changed(bound, bound.replace("value = 3", "value = 5")) == ["check-changed"]
    assert changed(bound, bound.replace("value = 3", "value = 3\nwhen='revisit'")) == [
        "check-changed"
    ]
    assert changed(bound, HOUSE) == ["check-changed"]
    amended = bound.replace("value = 3", "value = 5") + "\n> **Amended 2026-02-01:** 5 it is\n"
    assert changed(bound, amended) == []


def test_front_matter_of_madr_keeps_everything_but_status_and_date() -> None:
    assert changed(MADR, MADR.replace("accepted", '"superseded by ADR-0002"')) == []
    assert changed(MADR, MADR.replace("2024-01-01", "2025-01-01\nreason: x")) == []
    assert changed(MADR, MADR.replace("Ada", "Bob")) == ["content-changed"]
    assert changed(MADR, MADR + "\n* Superseded by [ADR-0002](0002-x.md)\n") == []
    assert changed(MADR, MADR.replace("the book", "a book")) == ["content-changed"]


def test_status_section_of_nygard_is_free_and_the_rest_is_not() -> None:
    superseded = NYGARD.replace("Accepted", "Superseded by [2. X](0002-x.md)\n\nReason: slow")
    assert changed(NYGARD, superseded) == []
    assert changed(NYGARD, superseded.replace("use queues", "use lists")) == ["content-changed"]


@settings(deadline=None)  # the machine may be busy; what is asked is that nothing raises
@given(st.text("ab |`*_-#>\n", max_size=60))
def test_comparison_never_raises_and_equal_text_never_differs(body: str) -> None:
    text = house(1) + "\n## Appendix\n\n" + body
    assert changed(text, text) == []
    changed(house(1), text)
    assert _content(text).tree == _content(text).tree


def test_prose_that_runs_on_under_related_is_content() -> None:
    assert changed(HOUSE, HOUSE.rstrip("\n") + "\nWe never meant it.\n") == ["content-changed"]
    assert changed(HOUSE, HOUSE.rstrip("\n") + ",\n  `src/more.py`\n") == []
