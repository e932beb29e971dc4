"""Block structure of Markdown, by markdown-it-py's block rules, with nothing rendered.

Only the block phase runs: records are read for their structure, and inline syntax is scanned
where it is asked for (``inline.py``). Two measured savings over the stock parser, neither
changing what is recognised (the tests compare with the stock parser over real records and
generated text):

* rules are tried only where the first character of the line lets them match;
* a table becomes one token; its rows are split raw (``tables.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, cast

from markdown_it import MarkdownIt
from markdown_it.ruler import Ruler
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.table import table as stock_table
from markdown_it.token import Token

BlockRule = Callable[[StateBlock, int, int, bool], bool]

# The characters a block can begin with (CommonMark 0.31, sections 4 and 5). Rules that are not
# listed (table, setext heading, paragraph) begin with any character.
_FIRST_CHARACTERS = {
    "fence": "`~",
    "blockquote": ">",
    "hr": "*-_",
    "list": "*+-0123456789",
    "reference": "[",
    "html_block": "<",
    "heading": "#",
}
# A line can only be a table's header if its next line is a delimiter row (GFM 0.29, 4.10).
_DELIMITER_ROW_STARTS = "|-:"


def _table(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    if first + 1 >= end:
        return False
    delimiter = state.bMarks[first + 1] + state.tShift[first + 1]
    if state.src[delimiter : delimiter + 1] not in _DELIMITER_ROW_STARTS:
        return False
    if not stock_table(state, first, end, True):
        return False
    if silent:
        return True
    enclosing = state.parentType
    state.parentType = "table"
    terminators = state.md.block.ruler.getRules("blockquote")
    line = first + 2
    while line < end and state.sCount[line] >= state.blkIndent:
        if any(rule(state, line, end, True) for rule in terminators):
            break
        if state.is_code_block(line):
            break
        # The stock rule strips white space of every kind: a lone form feed ends a table, too.
        if not state.src[state.bMarks[line] : state.eMarks[line]].strip():
            break
        line += 1
    token = state.push("table", "table", 0)
    token.map = [first, line]
    state.parentType = enclosing
    state.line = line
    return True


class _FirstCharacterRuler:
    """Stands in for a block ruler: one rule per chain that tries only those that can match."""

    def __init__(self, ruler: Ruler[BlockRule]) -> None:
        self._ruler = ruler
        self._chains: dict[str, list[BlockRule]] = {}

    def get_active_rules(self) -> list[str]:
        return self._ruler.get_active_rules()

    def getRules(self, chain: str = "") -> list[BlockRule]:  # noqa: N802 - markdown-it's name
        if chain not in self._chains:
            self._chains[chain] = [self._dispatcher(chain)]
        return self._chains[chain]

    def _dispatcher(self, chain: str) -> BlockRule:
        rules = [
            (rule.name, rule.fn)
            for rule in self._ruler.__rules__
            if rule.enabled and (not chain or chain in rule.alt)
        ]
        every = tuple(fn for _, fn in rules)

        def matching(character: str | None) -> tuple[BlockRule, ...]:
            return tuple(
                fn
                for name, fn in rules
                if name != "code"
                and (
                    name not in _FIRST_CHARACTERS
                    or (character is not None and character in _FIRST_CHARACTERS[name])
                )
            )

        special = {c: matching(c) for c in "".join(_FIRST_CHARACTERS.values())}
        plain = matching(None)

        def dispatch(state: StateBlock, line: int, end: int, silent: bool) -> bool:
            if state.sCount[line] - state.blkIndent >= 4:  # indented code is possible
                candidates = every
            else:
                position = state.bMarks[line] + state.tShift[line]
                character = state.src[position : position + 1]
                candidates = special.get(character, plain)
            for rule in candidates:  # noqa: SIM110 - the hottest loop; any() is a fifth slower
                if rule(state, line, end, silent):
                    return True
            return False

        return dispatch


def _lean_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable("table")
    ruler = parser.block.ruler
    stock = {rule.name: rule for rule in ruler.__rules__}
    ruler.at("table", _table, {"alt": stock["table"].alt})
    parser.block.ruler = cast(Any, _FirstCharacterRuler(ruler))
    return parser


_PARSER = _lean_parser()


class BlockKind(StrEnum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    FENCE = "fence"
    TABLE = "table"
    HTML = "html"
    ITEM = "item"
    ITEM_END = "item-end"


class Block(NamedTuple):
    """Lines ``first .. after_last - 1``, from 1; trailing blank lines may be included."""

    kind: BlockKind
    first: int
    after_last: int
    nested: bool
    level: int = 0  # of a heading
    info: str = ""  # of a fence
    content: str = ""  # of a fence


_KINDS = {
    "heading_open": BlockKind.HEADING,
    "paragraph_open": BlockKind.PARAGRAPH,
    "table": BlockKind.TABLE,
    "table_open": BlockKind.TABLE,
    "html_block": BlockKind.HTML,
    "list_item_open": BlockKind.ITEM,
}


def normalised(text: str) -> str:
    """Line endings to LF and NUL to U+FFFD as CommonMark wants; lines keep their numbers."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\0", "\ufffd") if "\0" in text else text


def parse_blocks(text: str) -> tuple[list[Block], dict[str, str]]:
    """Blocks of ``text`` and its link definitions (normalised label: target)."""
    tokens: list[Token] = []
    env: dict[str, Any] = {}
    _PARSER.block.parse(normalised(text), _PARSER, env, tokens)
    references: dict[str, Any] = env.get("references", {})
    return blocks_of(tokens), {label: str(entry["href"]) for label, entry in references.items()}


def blocks_of(tokens: Sequence[Token]) -> list[Block]:
    """markdown-it-py's tokens as blocks."""
    found = []
    for token in tokens:
        if token.type == "list_item_close":
            found.append(Block(BlockKind.ITEM_END, 0, 0, True))
            continue
        if token.map is None:
            continue
        first, after_last = token.map[0] + 1, token.map[1] + 1
        nested = token.level > 0
        if token.type == "fence":
            found.append(
                Block(BlockKind.FENCE, first, after_last, nested, 0, token.info, token.content)
            )
        elif kind := _KINDS.get(token.type):
            level = int(token.tag[1]) if kind is BlockKind.HEADING else 0
            found.append(Block(kind, first, after_last, nested, level))
    return found
