from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import pytest

from adrkit import lifecycle
from adrkit.errors import (
    EditNotPossible,
    IllegalMove,
    InvalidInput,
    ProposedSuccessor,
    SupersedeCycle,
    UnknownStatus,
)
from adrkit.lifecycle import MOVES
from adrkit.model import Status
from adrkit.record import Record
from adrkit.repository import RecordRepository
from adrkit.testing import house

Write = Callable[..., Path]
MOVERS = {
    Status.ACCEPTED: lifecycle.accept,
    Status.REJECTED: lifecycle.reject,
    Status.DEPRECATED: lifecycle.deprecate,
}


def changed_lines(before: bytes, after: bytes) -> list[str]:
    left = before.decode().splitlines(keepends=True)
    right = after.decode().splitlines(keepends=True)
    return [line for line in difflib.ndiff(left, right) if line[0] in "+-"]


@pytest.mark.parametrize("current", list(Status))
@pytest.mark.parametrize("wanted", list(MOVERS))
def test_only_legal_moves_are_made(write_record: Write, current: Status, wanted: Status) -> None:
    written = f"{current} by ADR-0009" if current is Status.SUPERSEDED else current.value
    path = write_record("0001-a.md", house(1, status=written))
    before = path.read_bytes()
    repository = RecordRepository(path.parent)
    if wanted in MOVES[current]:
        MOVERS[wanted](repository, repository.get(1))
        assert Record.read(path).status_kind is wanted
    else:
        with pytest.raises(IllegalMove, match=f"is {current} and cannot become {wanted}"):
            MOVERS[wanted](repository, repository.get(1))
        assert path.read_bytes() == before


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("final", [True, False])
def test_supersede_changes_status_and_links_alone(
    write_record: Write, eol: str, bom: bytes, final: bool
) -> None:
    def text(number: int) -> bytes:
        content = house(number).replace("\n", eol)
        return bom + (content if final else content.removesuffix(eol)).encode()

    old, new = write_record("0001-a.md", text(1)), write_record("0002-b.md", text(2))
    repository = RecordRepository(old.parent)
    lifecycle.supersede(repository, repository.get(1), repository.get(2))
    end = eol if final else ""
    # Without a final newline the last line gains a separator and the new last line has none.
    code = [] if final else ["- - **Code:** `src/app.py`", f"+ - **Code:** `src/app.py`{eol}"]
    assert changed_lines(text(1).removeprefix(bom), old.read_bytes().removeprefix(bom)) == [
        f"- **Status:** Accepted{eol}",
        f"+ **Status:** Superseded by ADR-0002{eol}",
        *code,
        f"+ - **Superseded by:** [ADR-0002](0002-b.md){end}",
    ]
    assert changed_lines(text(2).removeprefix(bom), new.read_bytes().removeprefix(bom)) == [
        *code,
        f"+ - **Supersedes:** [ADR-0001](0001-a.md){end}",
    ]
    assert old.read_bytes().startswith(bom)
    assert (Record.read(old).superseded_by, Record.read(new).supersedes) == ((2,), (1,))


def test_link_that_is_there_already_is_not_written_twice(write_record: Write) -> None:
    text = house(2) + "- **Supersedes:** [ADR-0001](0001-a.md)\n"
    write_record("0001-a.md", house(1))
    new = write_record("0002-b.md", text)
    repository = RecordRepository(new.parent)
    lifecycle.supersede(repository, repository.get(1), repository.get(2))
    assert new.read_bytes() == text.encode()


@pytest.mark.parametrize("value", ["", " [Link to ADR this replaces, if applicable]", " none"])
def test_placeholder_of_the_template_is_filled_in(write_record: Write, value: str) -> None:
    write_record("0001-a.md", house(1))
    new = write_record("0002-b.md", house(2) + f"- **Supersedes:**{value}\n")
    repository = RecordRepository(new.parent)
    lifecycle.supersede(repository, repository.get(1), repository.get(2))
    assert new.read_text().endswith("- **Supersedes:** [ADR-0001](0001-a.md)\n")


def test_one_record_may_supersede_several(write_record: Write) -> None:
    write_record("0001-a.md", house(1))
    write_record("0002-b.md", house(2))
    new = write_record("0003-c.md", house(3))
    for number in (1, 2):
        repository = RecordRepository(new.parent)
        lifecycle.supersede(repository, repository.get(number), repository.get(3))
    assert new.read_text().endswith(
        "- **Supersedes:** [ADR-0001](0001-a.md), [ADR-0002](0002-b.md)\n"
    )
    assert Record.read(new).supersedes == (1, 2)


def test_record_without_related_section_gains_one(write_record: Write) -> None:
    plain = "# ADR-0001: A\n\n**Status:** Accepted\n\n## Decision\n\nd\n\n## Appendix\n\nx\n"
    old = write_record("0001-a.md", plain)
    write_record("0002-b.md", house(2))
    repository = RecordRepository(old.parent)
    lifecycle.supersede(repository, repository.get(1), repository.get(2))
    assert old.read_text() == plain.replace("Accepted", "Superseded by ADR-0002").replace(
        "## Appendix", "## Related\n\n- **Superseded by:** [ADR-0002](0002-b.md)\n\n## Appendix"
    )


@pytest.mark.parametrize("status", ["Accepted", "Deprecated"])
def test_proposed_record_supersedes_what_is_in_force_only_by_force(
    write_record: Write, status: str
) -> None:
    old = write_record("0001-a.md", house(1, status=status))
    write_record("0002-b.md", house(2, status="Proposed"))
    repository = RecordRepository(old.parent)
    with pytest.raises(ProposedSuccessor, match="ADR-0002"):
        lifecycle.supersede(repository, repository.get(1), repository.get(2))
    assert old.read_text() == house(1, status=status)
    lifecycle.supersede(repository, repository.get(1), repository.get(2), force=True)
    assert Record.read(old).status_kind is Status.SUPERSEDED


def test_proposed_record_supersedes_a_proposed_one(write_record: Write) -> None:
    old = write_record("0001-a.md", house(1, status="Proposed"))
    write_record("0002-b.md", house(2, status="Proposed"))
    repository = RecordRepository(old.parent)
    lifecycle.supersede(repository, repository.get(1), repository.get(2))
    assert Record.read(old).status_kind is Status.SUPERSEDED


@pytest.mark.parametrize("status", ["Rejected", "Deprecated", "Superseded by ADR-0003"])
@pytest.mark.parametrize("older", ["Proposed", "Accepted", "Deprecated"])
def test_record_that_decides_nothing_any_more_supersedes_nothing(
    write_record: Write, status: str, older: str
) -> None:
    old = write_record("0001-a.md", house(1, status=older))
    write_record("0002-b.md", house(2, status=status))
    repository = RecordRepository(old.parent)
    with pytest.raises(IllegalMove, match="the successor of ADR-0001"):
        lifecycle.supersede(repository, repository.get(1), repository.get(2), force=True)
    assert old.read_text() == house(1, status=older)


def test_cycles_are_refused_and_shown(write_record: Write) -> None:
    write_record("0000-01-01-undated.md", "# A day and no number\n\n**Status:** Accepted\n")
    write_record("0001-a.md", house(1))
    write_record("0002-b.md", house(2, status="Superseded by ADR-0003"))
    path = write_record("0003-c.md", house(3) + "- **Superseded by:** [ADR-0001](0001-a.md)\n")
    repository = RecordRepository(path.parent)
    with pytest.raises(SupersedeCycle) as caught:
        lifecycle.supersede(repository, repository.get(1), repository.get(2), force=True)
    assert caught.value.chain == (1, 2, 3, 1)


def test_cycle_that_only_the_newer_record_tells_of_is_refused(write_record: Write) -> None:
    write_record("0001-a.md", house(1))
    path = write_record("0002-b.md", house(2) + "- **Supersedes:** [ADR-0001](0001-a.md)\n")
    repository = RecordRepository(path.parent)
    with pytest.raises(SupersedeCycle) as caught:
        lifecycle.supersede(repository, repository.get(2), repository.get(1))
    assert caught.value.chain == (2, 1, 2)


def test_record_cannot_supersede_itself(write_record: Write) -> None:
    repository = RecordRepository(write_record("0001-a.md", house(1)).parent)
    with pytest.raises(SupersedeCycle):
        lifecycle.supersede(repository, repository.get(1), repository.get(1))


def test_reasons_of_later_moves_are_added(write_record: Write) -> None:
    path = write_record("0001-a.md", house(1, status="Proposed"))
    repository = RecordRepository(path.parent)
    lifecycle.accept(repository, repository.get(1), reason="tried  it\nout")
    repository = RecordRepository(path.parent)
    lifecycle.deprecate(repository, repository.get(1), reason="too slow")
    lines = path.read_text().splitlines()
    assert lines[3:5] == [
        "**Status:** Deprecated",
        "**Reason:** Accepted - tried it out; Deprecated - too slow",
    ]


def test_blank_reason_is_refused(write_record: Write) -> None:
    path = write_record("0001-a.md", house(1, status="Proposed"))
    repository = RecordRepository(path.parent)
    with pytest.raises(InvalidInput, match="reason"):
        lifecycle.accept(repository, repository.get(1), reason="  ")
    assert path.read_text() == house(1, status="Proposed")


@pytest.mark.parametrize("status", ["Partly accepted", "", "Whatever"])
def test_status_outside_the_vocabulary_is_refused(write_record: Write, status: str) -> None:
    write_record("0001-a.md", house(1))
    repository = RecordRepository(write_record("0002-b.md", house(2, status=status)).parent)
    shown = repr(status) if status else "no status"
    with pytest.raises(UnknownStatus, match=shown):
        lifecycle.accept(repository, repository.get(2))
    with pytest.raises(UnknownStatus, match=shown):
        lifecycle.supersede(repository, repository.get(1), repository.get(2))


def test_nygard_records_are_superseded_as_adr_tools_does(write_record: Write) -> None:
    text = "# {0}. {1}\n\nDate: 2020-01-01\n\n## Status\n\nAccepted\n\n## Context\n\nc\n"
    old = write_record("0001-a.md", text.format(1, "First"))
    new = write_record("0002-b.md", text.format(2, "Second"))
    repository = RecordRepository(old.parent)
    lifecycle.supersede(repository, repository.get(1), repository.get(2), reason="better")
    assert old.read_text() == text.format(1, "First").replace(
        "Accepted", "Superseded by [2. Second](0002-b.md)\n\nReason: Superseded - better"
    )
    assert new.read_text() == text.format(2, "Second").replace(
        "Accepted", "Accepted\n\nSupersedes [1. First](0001-a.md)"
    )
    assert (Record.read(old).superseded_by, Record.read(new).supersedes) == ((2,), (1,))


_MADR_BODY = "# T\n\n## Context and Problem Statement\n\nc\n\n## Decision Outcome\n\nd\n"


def test_madr_front_matter_is_edited_in_place(write_record: Write) -> None:
    text = "---\nnav_order: 1 # keep\nstatus: accepted   # yes\n---\n" + _MADR_BODY
    old = write_record("0001-a.md", text)
    write_record("0002-b.md", text)
    repository = RecordRepository(old.parent)
    lifecycle.supersede(repository, repository.get(1), repository.get(2), reason='say "why"')
    assert old.read_text() == (
        '---\nnav_order: 1 # keep\nstatus: "superseded by ADR-0002"   # yes\n'
        'reason: "Superseded - say \\"why\\""\n---\n'
        + _MADR_BODY
        + "\n## More Information\n\n* Superseded by [ADR-0002](0002-b.md)\n"
    )
    assert Record.read(old).superseded_by == (2,)


def test_madr_2_bullets_are_edited_in_place(write_record: Write) -> None:
    text = _MADR_BODY.replace("# T\n", "# T\n\n* Status: proposed\n* Date: 2020-01-01\n", 1)
    path = write_record("0001-a.md", text)
    repository = RecordRepository(path.parent)
    lifecycle.accept(repository, repository.get(1))
    assert path.read_text() == text.replace("proposed", "accepted")


def test_link_between_sub_directories_is_relative(write_record: Write) -> None:
    old = write_record("net/0001-a.md", house(1))
    write_record("db/0002-b.md", house(2))
    repository = RecordRepository(old.parents[1])
    lifecycle.supersede(repository, repository.get(1), repository.get(2))
    assert "[ADR-0002](../db/0002-b.md)" in old.read_text()


def test_record_without_a_place_for_the_status_is_refused(tmp_path: Path) -> None:
    record = Record.from_text("# ADR-0001: A\n", tmp_path / "0001-a.md")
    with pytest.raises(EditNotPossible, match="status"):
        record.dialect.status_edits(record.document, Status.ACCEPTED, None, None)


DAY = "2023-05-01"


@pytest.mark.parametrize(
    ("head", "deprecated", "superseded"),
    [
        (
            "**Status:** Accepted — **amended**: the core\nholds (see [ADR-0003](0003-c.md)).\n",
            "**Status:** Deprecated — **amended**: the core\nholds (see [ADR-0003](0003-c.md)).\n",
            "**Status:** Superseded by ADR-0002 — **amended**: the core\nholds (see "
            "[ADR-0003](0003-c.md)).\n",
        ),
        (
            "**Status:** Accepted; supersedes ADR-0003\n",
            "**Status:** Deprecated; supersedes ADR-0003\n",
            "**Status:** Superseded by ADR-0002; supersedes ADR-0003\n",
        ),
        (
            f"**Status:** Accepted ({DAY})\n",
            f"**Status:** Deprecated ({DAY})\n",
            f"**Status:** Accepted ({DAY}); superseded by ADR-0002\n",
        ),
        (
            "**Status:** ~~Proposed~~ ✅ Accepted (by all)\n",
            "**Status:** ~~Proposed~~ ✅ Deprecated (by all)\n",
            "**Status:** ~~Proposed~~ ✅ Superseded by ADR-0002 (by all)\n",
        ),
        (
            "**Status:** Accepted / Implemented\n",  # what would be two of them is written anew
            "**Status:** Deprecated\n",
            "**Status:** Superseded by ADR-0002\n",
        ),
        (
            f"## Status\n\n- {DAY}: Accepted\n- 2023-04-01: Proposed\n",
            f"## Status\n\n- {DAY}: Deprecated\n- 2023-04-01: Proposed\n",
            f"## Status\n\n- {DAY}: Accepted; superseded by [2. Use Queues](0002-b.md)\n"
            "- 2023-04-01: Proposed\n",
        ),
    ],
)
@pytest.mark.parametrize("reason", [None, "tried out"])
def test_what_is_said_beside_the_status_stays(
    write_record: Write, head: str, deprecated: str, superseded: str, reason: str | None
) -> None:
    """A move changes what it is asked to change: notes, relations and days are its author's."""
    text = f"# ADR-0001: A\n\n{head}\n## Related\n\n- x\n"
    old = write_record("0001-a.md", text)
    write_record("0002-b.md", house(2))
    before = Record.read(old)
    for wanted, kind in ((deprecated, Status.DEPRECATED), (superseded, Status.SUPERSEDED)):
        old.write_text(text)
        repository = RecordRepository(old.parent)
        if kind is Status.DEPRECATED:
            lifecycle.deprecate(repository, repository.get(1), reason=reason)
        else:
            lifecycle.supersede(repository, repository.get(1), repository.get(2), reason=reason)
        assert wanted.strip() in old.read_text()
        after = Record.read(old)
        assert after.status_kind is kind
        assert after.superseded_by == ((2,) if kind is Status.SUPERSEDED else ())
        assert (after.date_value, after.supersedes) == (before.date_value, before.supersedes)


def test_status_that_is_an_alias_is_written_where_it_stands(write_record: Write) -> None:
    text = "---\nstage: &a accepted\nstatus: *a # yes\n---\n" + _MADR_BODY
    path = write_record("0001-a.md", text)
    repository = RecordRepository(path.parent)
    lifecycle.deprecate(repository, repository.get(1))
    assert path.read_text() == text.replace("*a", "deprecated")


def test_reason_stands_below_a_heading_that_is_the_status(write_record: Write) -> None:
    path = write_record("0001-a.md", "# T\n\nStatus: Accepted\n----\n\n## Context\n")
    repository = RecordRepository(path.parent)
    lifecycle.deprecate(repository, repository.get(1), reason="slow")
    assert path.read_text() == (
        "# T\n\nStatus: Deprecated\n----\n\nReason: Deprecated - slow\n\n## Context\n"
    )
