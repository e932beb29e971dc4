# ruff: noqa: E501 - one unit is one line
"""What no author would write and a checkout may hold: it is read in bounded time, and what is not
read is said."""

from __future__ import annotations

import os
import time
import unicodedata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adrkit import bounded
from adrkit.cli.commands import app
from adrkit.document import Document
from adrkit.errors import UnreadableFile
from adrkit.lint.sentences import sentence_count
from adrkit.model import Status
from adrkit.record import Record
from adrkit.testing import GitProject, house

_BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
)
_UNREAD = {
    "bomb": f"{_BOMB}\nstatus: accepted",
    "alias of itself": "a: &a [*a]\nstatus: accepted",
    "alias of nothing": "a: *b\nstatus: accepted",
    "nested too deeply": f"a: {'[' * 20_000}\nstatus: accepted",
    "tag": "a: !!python/object/apply:os.system [x]\nstatus: accepted",
    "no YAML": "owner: @ann\nstatus: accepted",
    "unquoted colon": "title: Queues: why\nstatus: accepted",
    "tab": "a:\n\t- b\nstatus: accepted",
    "control character": "a: \x01\nstatus: accepted",
}


@pytest.mark.parametrize("kind", _UNREAD)
def test_front_matter_that_is_not_read_is_said_and_its_plain_lines_count(kind: str) -> None:
    record = Record.from_text(f"---\n{_UNREAD[kind]}\n---\n# T\n", Path("0001-t.md"))
    front = record.document.front_matter
    assert front is not None
    assert front.data is None
    assert front.problem
    assert record.status_kind is Status.ACCEPTED
    assert record.document.headings[0].text == "T"


def test_front_matter_beyond_measure_is_not_parsed() -> None:
    text = "---\n" + "key: value\n" * 500_000 + "---\n# T\n\n**Status:** Accepted\n"
    record = Record.from_text(text)
    assert record.document.front_matter is not None
    assert record.document.front_matter.problem == "longer than 64 KiB"
    assert record.status_kind is Status.ACCEPTED


@pytest.mark.parametrize("text", ["---\n# ADR-0001: T\n---\n", "---\n\nSome prose.\n\n---\n# T\n"])
def test_ruling_at_the_top_is_no_front_matter(text: str) -> None:
    record = Record.from_text(text)
    assert record.document.front_matter is None
    assert record.name == "T"


#: Units that are repeated to about 300 kB after a beginning, where anything quadratic would stand
#: out by minutes.
_LONG = [
    ("**Status:** a", " "), ("**Status:** ", "| a "), ("**Status:** .", ", and "), ("**Status:** ", "<!--"),
    ("**Status:** Superseded by ", "[a]("), ("**Status:** ", "superseded by "), ("**Date:** ", "1"),
    ("", "**Status:** Accepted\n"), ("", "**Status:** Accepted\n\n"), ("", "Key: value\n"),
    ("", "## Status\n\nAccepted\n\n"), ("", "## Date\n\n1\n\n"), ("", "## Related\n\n- Supersedes ADR-1\n\n"),
    ("## Status\n\n", "Accepted\n"), ("## Status\n\n", "- [ ] Accepted\n"), ("## Status\n\n", "Accepted\n\n"),
    ("| Status | x |\n|---|---|\n", "| a | b |\n"), ("## Related\n\n- Supersedes ", "ADR-1, "),
    ("**", "a"), ("", "*a "),
]  # fmt: skip


@pytest.mark.parametrize(("start", "unit"), _LONG)
def test_long_header_is_read_in_time(start: str, unit: str) -> None:
    record = Record.from_text("# T\n\n" + start + unit * (100_000 // len(unit)), Path("0001-t.md"))
    deadline = time.process_time() + 60  # a hang guard, far above the second or two it takes
    _ = record.status, record.date_value, record.relations, record.deciders, record.related
    assert time.process_time() < deadline


@pytest.mark.parametrize("unit", ["`", "A. ", "[^", '"a ', ".", ". ", "](", ".) "])
def test_sentences_of_a_megabyte_are_counted_in_time(unit: str) -> None:
    deadline = time.process_time() + 60
    assert sentence_count(unit * (1_000_000 // len(unit))) >= 1
    assert time.process_time() < deadline


def test_file_larger_than_any_record_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "MAX_BYTES", 1 << 20)
    path = tmp_path / "0001-t.md"
    path.write_bytes(b"x" * (1 << 20))
    assert len(Document.read(path).text) == 1 << 20
    path.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(UnreadableFile, match="larger than 1 MiB"):
        Document.read(path)


READING = ["list", "lint", "check", "graph", "search T", "why docs", "import docs/adr -n -o out"]


@pytest.mark.parametrize("command", READING)
def test_devices_pipes_and_circles_of_links_are_left_out_and_said(
    project: GitProject, command: str
) -> None:
    project.record(9, "use-queues")
    records = project.records
    (records / "0001-zero.md").symlink_to("/dev/zero")
    (records / "0003-circle.md").symlink_to("0003-circle.md")
    (records / "0004-away.md").symlink_to("/etc/passwd")
    (records / "around").symlink_to(records, target_is_directory=True)
    os.mkfifo(records / "0002-pipe.md")
    result = CliRunner().invoke(app, ["-C", str(project.root), *command.split(" ")])
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.exit_code in (1, 2)
    assert "root:" not in result.stdout + result.stderr
    if command in ("list", "lint"):
        for name in ("0001-zero.md", "0002-pipe.md", "0003-circle.md", "0004-away.md"):
            assert name in result.stdout + result.stderr, name


def test_record_is_found_by_its_name_in_either_normal_form(project: GitProject) -> None:
    composed, apart = (unicodedata.normalize(form, "0001-café.md") for form in ("NFC", "NFD"))
    assert composed != apart
    for written, asked in ((composed, apart), (apart, composed)):
        path = project.write(f"docs/adr/{written}", house(1))
        result = CliRunner().invoke(app, ["-C", str(project.root), "show", asked, "--raw"])
        assert result.exit_code == 0, result.stderr
        path.unlink()


def test_thousand_records_that_link_each_other_are_read(project: GitProject) -> None:
    for number in range(1, 1001):
        folder = f"docs/adr/{number % 10}/{number // 10 % 10}"
        links = "".join(
            f"- **Supersedes:** [ADR-{child:04d}](../../{child % 10}/{child // 10 % 10}/{child:04d}-r.md)\n"
            for child in (2 * number, 2 * number + 1)
            if child <= 1000
        )
        status = f"Superseded by ADR-{number // 2:04d}" if number > 1 else "Accepted"
        text = f"# ADR-{number:04d}: R\n\n**Status:** {status}\n\n## Related\n\n{links}"
        project.write(f"{folder}/{number:04d}-r.md", text)
    run = CliRunner()
    listed = run.invoke(app, ["-C", str(project.root), "list"])
    assert listed.exit_code == 0
    assert len(listed.stdout.splitlines()) == 1000
    graph = run.invoke(app, ["-C", str(project.root), "graph", "-f", "dot"])
    assert graph.exit_code == 0
    assert graph.stdout.count("->") == 999
    lint = run.invoke(app, ["-C", str(project.root), "lint", "--select", "ADR7", "-f", "json"])
    for code in ("ADR701", "ADR702", "ADR703", "ADR704"):
        assert code not in lint.stdout
