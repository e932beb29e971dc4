from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from adrkit.document import Document, Edit, LinkKind, Span, SpanSweep, plain
from adrkit.document.blocks import Block, blocks_of, normalised, parse_blocks
from adrkit.errors import NotUtf8, OverlappingEdits, UnreadableFile

_LINES = st.sampled_from(
    [
        "# A", "## B ##", "text", "`code", "```", "~~~ py", "    indented", "- item", "1. one",
        "> quote", "| a | b |", "|---|---|", "| `x|y` | c |", "===", "---", "[ref]: target.md",
        "[ref]", "", " ", "<!-- c", "-->", "<div>", "\t- tab", '* [x](y.md "t")',
        "**Status:** Accepted", "- **bold** item", "- * *", "* * *", "-", "2) two", "  - nested",
        "  continued", "    deep", "| a |", "|--|", "a | b", "- | -", "#nohash", "#", "[x]: y",
        "[a](b) c", "- [ ] task", "<b>x</b>", "***", "*emphasis*", "1986. A year", "3 ways", "=",
        "- - x", "-  two", "-     code", "~~~", "````", "\\# escaped", "\u00a0nbsp", "é", "✅ ok",
        " # indented", " ```", "> - q", "\f", "\u2028x", "__", "_ _ _", "+ plus",
    ]
)  # fmt: skip
_MARKDOWN = st.lists(_LINES, max_size=25).flatmap(
    lambda lines: st.lists(
        st.sampled_from(["\n", "\r\n", "\r"]), min_size=len(lines), max_size=len(lines)
    ).map(lambda ends: "".join(a + b for a, b in zip(lines, ends, strict=True)))
)


@given(st.text() | _MARKDOWN, st.booleans())
def test_any_text_read_and_written_back_is_byte_identical(text: str, bom: bool) -> None:
    data = (b"\xef\xbb\xbf" if bom else b"") + text.encode("utf-8", "surrogatepass")
    try:
        document = Document.from_bytes(data)
    except NotUtf8:
        return  # a lone surrogate cannot stand in UTF-8
    _ = document.sections, document.links, document.tables, document.front_matter
    assert document.to_bytes() == data


def stock_blocks(text: str) -> tuple[list[Block], dict[str, str]]:
    """What markdown-it-py's stock block parser finds, its tables' inner tokens left out."""
    env: dict[str, Any] = {}
    stock = MarkdownIt("commonmark").enable("table")
    tokens: list[Token] = []
    stock.block.parse(normalised(text), stock, env, tokens)
    references = {label: str(ref["href"]) for label, ref in env.get("references", {}).items()}
    return trimmed(blocks_of(tokens), text), references


def trimmed(blocks: list[Block], text: str) -> list[Block]:
    """Blocks without trailing blank lines, which parsers count differently."""
    lines = normalised(text).split("\n")
    found = []
    for block in blocks:
        after_last = block.after_last
        while after_last > block.first + 1 and (
            after_last - 2 >= len(lines) or not lines[after_last - 2].strip()
        ):
            after_last -= 1
        found.append(block._replace(after_last=after_last))
    return found


@settings(max_examples=300)
@given(_MARKDOWN)
def test_blocks_are_those_of_the_stock_parser(text: str) -> None:
    blocks, references = parse_blocks(text)
    assert (trimmed(blocks, text), references) == stock_blocks(text)


@pytest.mark.parametrize("blank", ["\f", "\v", "\u00a0", "\u2003", "\u2028", "\u3000", "\x01"])
@pytest.mark.parametrize(
    "before", ["| a | b |\n|---|---|\n| c | d |\n", "text\n", "- item\n", "# H\n", "> q\n"]
)
@pytest.mark.parametrize(
    "line", ["{}\n", "{}text\n", "\n{}- a\n", "- {}\n", "# x{}\n", "|---|{}\n"]
)
def test_white_space_that_is_no_blank_is_taken_as_the_stock_parser_takes_it(
    blank: str, before: str, line: str
) -> None:
    text = before + line.format(blank) + "\nend\n"
    blocks, references = parse_blocks(text)
    assert (trimmed(blocks, text), references) == stock_blocks(text)


def test_fence_and_comment_that_run_over_headings_hide_them() -> None:
    text = " ```\n# no\n\n# no\n ```\n\n# yes\n\n<!--\n# no\n-->\n\n# also\n\n ```\n# no\n"
    assert [h.text for h in Document.from_text(text).headings] == ["yes", "also"]


@given(_MARKDOWN)
def test_spans_of_all_parts_hold_the_text_they_claim(text: str) -> None:
    document = Document.from_text(text)
    for heading in document.headings:
        assert document.slice(heading.text_span) == heading.text
    for table in document.tables:
        for row in (table.header, *table.rows):
            for cell in row.cells:
                assert document.slice(cell.span) == cell.text
    for code in document.code_spans:
        assert document.slice(code.span).startswith("`")
    for link in document.links:
        assert document.slice(link.span)[0] in "[!<"
        assert document.line_of(link.span.start) == link.line


@given(_MARKDOWN, st.data())
def test_edit_changes_nothing_outside_its_span(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    edited = Document.from_text(text).edit(Edit(Span(start, end), "NEW"))
    assert edited.text == text[:start] + "NEW" + text[end:]


_SPANS = st.tuples(st.integers(0, 30), st.integers(0, 12)).map(lambda p: Span(p[0], p[0] + p[1]))


@given(st.lists(_SPANS), st.lists(_SPANS))
def test_sweep_answers_as_a_search_of_all_spans_does(spans: list[Span], asked: list[Span]) -> None:
    sweep = SpanSweep(spans)
    for span in sorted(asked):
        if len(span):
            assert sweep.holds(span) == any(span in other for other in spans)


def test_overlapping_edits_are_refused() -> None:
    document = Document.from_text("abcdef")
    with pytest.raises(OverlappingEdits):
        document.edit(Edit(Span(0, 3), "x"), Edit(Span(2, 4), "y"))


def test_edit_beyond_the_end_is_refused() -> None:
    with pytest.raises(OverlappingEdits):
        Document.from_text("abc").edit(Edit(Span(2, 9), ""))


@pytest.mark.parametrize(("prefix", "offset"), [(b"", 4), (b"\xef\xbb\xbf", 7)])
def test_not_utf8_names_the_byte_offset_and_a_remedy(prefix: bytes, offset: int) -> None:
    with pytest.raises(NotUtf8) as caught:
        Document.from_bytes(prefix + b"# Caf\xe9"[0:4] + b"\xe9\n", Path("x.md"))
    assert (caught.value.offset, caught.value.byte) == (offset, 0xE9)
    assert "iconv" in caught.value.remedy


def test_missing_file_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"nothing\.md"):
        Document.read(tmp_path / "nothing.md")


def test_headings_and_tables_in_fences_are_neither() -> None:
    text = "# Real\n\n```md\n# No\n| a | b |\n|---|---|\n| c | d |\n```\n\n## Also\n"
    document = Document.from_text(text)
    assert [heading.text for heading in document.headings] == ["Real", "Also"]
    assert document.tables == ()
    assert document.fences[0].language == "md"
    assert (document.fences[0].line, document.fences[0].content_line) == (3, 4)


def test_longer_fence_holds_shorter_fences() -> None:
    document = Document.from_text("````md\n```\n# No\n```\n````\n# Yes\n")
    assert [heading.text for heading in document.headings] == ["Yes"]
    assert len(document.fences) == 1


def test_pipe_in_backticks_splits_the_cell_and_is_counted() -> None:
    text = "| a | b |\n|---|---|\n| `x|y` | chosen |\n| `x\\|y` | chosen |\n"
    table = Document.from_text(text).tables[0]
    assert [row.raw_cell_count for row in table.rows] == [3, 2]
    assert table.column_count == 2
    assert table.rows[0].line == 3


def test_table_in_a_quotation_is_nested_and_keeps_its_spans() -> None:
    document = Document.from_text("> | a | b |\n> |---|---|\n> | c | d |\n")
    table = document.tables[0]
    assert table.nested
    assert [cell.text for cell in table.rows[0].cells] == ["c", "d"]


def test_sections_end_where_a_heading_of_their_level_begins() -> None:
    document = Document.from_text("# T\n\n## A\n\na\n\n### A1\n\nb\n\n## B\n\nc\n")
    sections = {section.heading.text: section for section in document.sections}
    assert document.slice(sections["A"].body) == "\na\n\n### A1\n\nb\n\n"
    assert document.slice(sections["A"].own) == "\na\n\n"
    assert document.slice(sections["T"].body).endswith("c\n")


def test_setext_heading_has_its_text_and_line() -> None:
    heading = Document.from_text("intro\n\nThe\nTitle\n===\n").headings[0]
    assert (heading.level, heading.text, heading.line) == (1, "The\nTitle", 3)


def test_line_endings_may_be_mixed_and_positions_stay_right() -> None:
    document = Document.from_text("# A\r\n\r\ntext\n\n## B\rlast")
    assert [heading.line for heading in document.headings] == [1, 5]
    assert document.source.line_text(6) == "last"
    assert document.source.line_count == 6


def test_inserted_line_takes_the_ending_of_its_neighbour() -> None:
    document = Document.from_text("one\r\ntwo\nthree")
    assert document.edit(document.insert_after_line(1, "new")).text == "one\r\nnew\r\ntwo\nthree"
    assert document.edit(document.insert_after_line(3, "new")).text == "one\r\ntwo\nthree\nnew"


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("[a](b.md)", LinkKind.INLINE, "b.md"),
        ('[a](<b c.md> "title")', LinkKind.INLINE, "b c.md"),
        ("[a](b(c).md)", LinkKind.INLINE, "b(c).md"),
        ("[a][r]\n\n[r]: x.md", LinkKind.REFERENCE, "x.md"),
        ("[R]\n\n[r]: x.md", LinkKind.REFERENCE, "x.md"),
        ("<https://a.example/b>", LinkKind.AUTOLINK, "https://a.example/b"),
        ("![a](b.png)", LinkKind.IMAGE, "b.png"),
        ("[`a]`](b.md)", LinkKind.INLINE, "b.md"),
    ],
)
def test_links_of_every_kind_are_found(text: str, kind: LinkKind, target: str) -> None:
    links = Document.from_text(text).links
    assert [(link.kind, link.target) for link in links] == [(kind, target)]


@pytest.mark.parametrize("text", ["`[a](b.md)`", "\\[a](b.md)", "[a] (b.md)", "[a](b c)", "[a]"])
def test_what_only_looks_like_a_link_is_none(text: str) -> None:
    assert Document.from_text(text).links == ()


def test_code_spans_close_with_as_many_backticks() -> None:
    codes = Document.from_text("``a`b`` and ` `` ` and `open").code_spans
    assert [code.content for code in codes] == ["a`b", "``"]


def test_front_matter_values_keep_dates_and_have_spans() -> None:
    text = '---\nstatus: "accepted" # why\ndate: 2026-05-27\n---\n# T\n'
    document = Document.from_text(text)
    front = document.front_matter
    assert front is not None
    assert front.data == {"status": "accepted", "date": "2026-05-27"}
    span = front.value_span("status")
    assert span is not None
    assert document.slice(span) == '"accepted"'
    assert document.headings[0].line == 5


@pytest.mark.parametrize("yaml", ["a: [", "- list", "a: !!python/object:os.system x", "a: *x"])
def test_broken_front_matter_is_reported_and_not_fatal(yaml: str) -> None:
    document = Document.from_text(f"---\n{yaml}\n---\n# T\n")
    assert document.front_matter is not None
    assert document.front_matter.data is None
    assert document.front_matter.problem
    assert document.headings[0].text == "T"


def test_plain_text_drops_marks_and_keeps_code() -> None:
    assert plain("**[Use `a*b`](x.md)** _now_, snake_case") == "Use a*b now, snake_case"


@pytest.mark.parametrize(
    "unit", ["`a``b", "[", "](", "[a](", "<!--", "<a ", "|", "\\", "*", "> ", "- ", '[a](b "']
)
def test_a_megabyte_of_one_hostile_line_is_read(unit: str) -> None:
    text = "| a | b |\n|---|---|\n" + unit * (1_000_000 // len(unit))
    document = Document.from_text(text)
    # A hang guard, far above the second or two of processor time it takes on any machine.
    limit = time.process_time() + 60
    _ = document.sections, document.links
    assert time.process_time() < limit


def test_record_of_five_megabytes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "0001-big.md"
    body = "## Section\n\nSome `code` and a [link](x.md) in prose.\n\n- item\n\n"
    path.write_text("# ADR-0001: Big\n\n" + body * (5_000_000 // len(body)))
    document = Document.read(path)
    assert len(document.sections) == 5_000_000 // len(body) + 1
    assert len(document.links) == 5_000_000 // len(body)


def test_ticks_are_closed_by_as_many() -> None:
    assert plain("`a` ``b ` c`` ```d``") == "a b ` c ```d``"
    assert plain("`" * 20_000) == "`" * 20_000  # it took minutes
