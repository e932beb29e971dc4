"""170 records that three projects wrote: nothing crashes, no byte changes."""

from __future__ import annotations

import shutil
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from typer.testing import CliRunner

from adrkit import lifecycle
from adrkit.cli.commands import app
from adrkit.dialects import Successor
from adrkit.document import Document
from adrkit.document.blocks import Block, blocks_of, normalised, parse_blocks
from adrkit.errors import LifecycleError
from adrkit.lifecycle import superseded_document
from adrkit.model import Status
from adrkit.record import Record
from adrkit.repository import RecordRepository
from adrkit.testing import GitProject


def records(corpora: Path) -> list[Record]:
    return [Record.read(path) for path in sorted(corpora.rglob("*.md"))]


def test_every_record_is_written_back_byte_for_byte(corpora: Path) -> None:
    paths = sorted(corpora.rglob("*.md"))
    assert len(paths) >= 170
    for path in paths:
        document = Document.read(path)
        _ = document.sections, document.links
        assert document.to_bytes() == path.read_bytes(), path.name


def test_every_part_of_every_record_is_read(corpora: Path) -> None:
    for record in records(corpora):
        _ = (
            record.titles, record.sections, record.decision, record.consequences, record.risks,
            record.related, record.references, record.relations, record.cited_paths,
        )  # fmt: skip
        for option in record.alternatives:
            assert 1 <= option.line <= record.document.source.line_count


def test_blocks_are_those_of_the_stock_parser(corpora: Path) -> None:
    stock = MarkdownIt("commonmark").enable("table")
    for record in records(corpora):
        text = normalised(record.document.text)
        expected: list[Token] = []
        stock.block.parse(text, stock, {}, expected)
        found, _ = parse_blocks(text)
        assert [_visible(block, text) for block in found] == [
            _visible(block, text) for block in blocks_of(expected)
        ], record.path


def _visible(block: Block, text: str) -> tuple[object, ...]:
    lines = "\n".join(text.split("\n")[block.first - 1 : block.after_last - 1])
    return block._replace(after_last=0), lines.rstrip()


def test_links_and_code_are_those_of_the_stock_parser(
    corpora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = MarkdownIt("commonmark", {"maxNesting": 100}).enable("table")
    # Targets as they are written, whatever their scheme.
    monkeypatch.setattr(stock, "normalizeLink", str)
    monkeypatch.setattr(stock, "validateLink", bool)
    for record in records(corpora):
        document = record.document
        front = document.front_matter
        text = document.text
        if front:
            text = text[front.span.end :]
        links: Counter[str] = Counter()
        codes: Counter[str] = Counter()
        todo = [token for token in stock.parse(text) if token.type == "inline"]
        while todo:
            token = todo.pop()
            todo += token.children or []
            if token.type in ("link_open", "image"):
                links[str(token.attrGet("href") or token.attrGet("src") or "")] += 1
            elif token.type == "code_inline":
                codes[token.content] += 1
        assert Counter(link.target for link in document.links) == links, record.path
        # In table cells GitHub takes the backslash of `\|` away first.
        ours = Counter(code.content.replace("\\|", "|") for code in document.code_spans)
        assert ours == Counter({k.replace("\\|", "|"): v for k, v in codes.items()}), record.path


def test_formats_and_statuses_of_the_three_projects_are_recognised(corpora: Path) -> None:
    found = {
        name: Counter(
            (r.dialect.name, r.status_kind) for r in RecordRepository(corpora / name).list()
        )
        for name in ("abicheck", "govuk-aws", "jabref")
    }
    assert found["abicheck"][("house", Status.ACCEPTED)] >= 50
    assert found["govuk-aws"][("nygard", Status.ACCEPTED)] == 29
    assert found["govuk-aws"][("nygard", Status.SUPERSEDED)] == 1
    assert sum(n for (name, _), n in found["jabref"].items() if name == "madr") >= 70


def test_successor_named_by_title_alone_is_found_through_its_link(corpora: Path) -> None:
    record = RecordRepository(corpora / "govuk-aws").get(4)
    assert record.superseded_by == (15,)


def test_chosen_option_is_found_in_most_madr_records(corpora: Path) -> None:
    found = [r for r in RecordRepository(corpora / "jabref").list() if r.alternatives]
    assert sum(1 for record in found if record.chosen) >= 0.8 * len(found)


def test_any_accepted_record_can_be_superseded_touching_few_lines(corpora: Path) -> None:
    seen = 0
    for record in records(corpora):
        if record.status_kind not in (Status.ACCEPTED, Status.PROPOSED):
            continue
        seen += 1
        assert record.path is not None
        successor = Successor(999, "New", record.path.with_name("0999-new.md"))
        after = Record(superseded_document(record, successor, "better"))
        assert after.status_kind is Status.SUPERSEDED, record.path
        assert 999 in after.superseded_by, record.path
        before_lines = record.document.text.splitlines(keepends=True)
        after_lines = after.document.text.splitlines(keepends=True)
        assert record.status is not None
        status_lines = len(record.document.slice(record.status.span).splitlines())
        kept = sum(
            block.size
            for block in SequenceMatcher(
                a=before_lines, b=after_lines, autojunk=False
            ).get_matching_blocks()
        )
        assert len(before_lines) - kept <= status_lines, record.path
        assert len(after_lines) - kept <= 6, record.path
    assert seen >= 90


@pytest.fixture(scope="module", params=["abicheck", "govuk-aws", "jabref"])
def real(
    request: pytest.FixtureRequest, corpora: Path, tmp_path_factory: pytest.TempPathFactory
) -> GitProject:
    """The records of one project, committed in a repository of their own."""
    project = GitProject(tmp_path_factory.mktemp(request.param))
    shutil.copytree(corpora / request.param, project.records)
    project.commit()
    return project


#: Every command that reads, and those that write what can be thrown away.
COMMANDS = [
    "list", "list --json", "search the", "template show", "rules", "lint", "lint -f sarif",
    "audit --history", "check -v", "check -f github", "graph", "graph -f dot",
    "index out.md", "site -o site", "export --source", "import docs/adr -n -o house",
    "why docs/adr", "new A_Title", "lint --write-baseline", "lint --fix",
]  # fmt: skip


def test_no_command_crashes_on_real_records(real: GitProject) -> None:
    for command in COMMANDS:
        arguments = [word.replace("_", " ") for word in command.split(" ")]
        result = CliRunner().invoke(app, ["-C", str(real.root), *arguments])
        assert result.exit_code in (0, 1), (command, result.stderr)
        assert isinstance(result.exception, SystemExit | None), command
        assert result.stdout, command
    real("checkout", "-q", ".")
    real("clean", "-fdq")


def test_every_move_of_every_real_record_works_or_is_refused(real: GitProject) -> None:
    moved = Counter[str]()
    for record in RecordRepository(real.records).list():
        assert record.path is not None
        before = record.path.read_bytes()
        for move in (lifecycle.accept, lifecycle.reject, lifecycle.deprecate):
            try:
                move(RecordRepository(real.records), record, reason="a | b")
            except LifecycleError:
                assert record.path.read_bytes() == before
                continue
            after = Record.read(record.path)
            assert after.status_kind is not record.status_kind, record.path
            moved[move.__name__] += 1
            record.path.write_bytes(before)
    assert sum(moved.values()) >= 3, moved


def test_every_real_record_is_shown(corpora: Path) -> None:
    for path in sorted(corpora.rglob("*.md")):
        if path not in RecordRepository(path.parent).paths:
            continue
        arguments = ["--dir", str(path.parent), "show", str(path)]
        for options in ([], ["--json"]):
            result = CliRunner().invoke(app, [*arguments, *options])
            assert result.exit_code == 0, (path, result.stderr)
