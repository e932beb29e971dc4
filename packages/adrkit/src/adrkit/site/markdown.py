"""Records as HTML that is safe whatever they contain.

Raw HTML is shown as text, except for comments, which vanish, and ``<br>``. Links with other
schemes than http, https and mailto lose their target; images from the network become links.
Beyond CommonMark: tables, strike-through, task lists, footnotes, and Mermaid diagrams, which are
drawn in the browser and are readable as text without it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
_SAFE_SCHEME = re.compile(r"(?:https?|mailto):", re.IGNORECASE)
_TASK = re.compile(r"\[([ xX])\][ \t]+(?=\S)")
_CITATION = re.compile(r"(?<![\w/-])ADR[-_ ]?(\d{1,6})(?!\d)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TocEntry:
    level: int
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Rendered:
    html: str
    toc: tuple[TocEntry, ...]
    has_diagram: bool = False


#: Gives the address of a relative link in the site, None when the site has no such page.
Resolve = Callable[[str], str | None]


def render(
    text: str, *, resolve: Resolve, image: Resolve, citation: Callable[[int], str | None]
) -> Rendered:
    """HTML of Markdown ``text``, without its first level-1 heading."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    footnote_plugin(parser)
    tokens = parser.parse(text)
    toc: list[TocEntry] = []
    used: dict[str, int] = {}
    tokens = _without_title(tokens)
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = tokens[index + 1].content
            level = int(token.tag[1])
            token.tag = tokens[index + 2].tag = f"h{max(level, 2)}"  # the page has its own h1
            anchor = _anchor(heading, used)
            token.attrSet("id", anchor)
            if token.level == 0 and level <= 3:
                toc.append(TocEntry(level, anchor, _shown(tokens[index + 1])))
        elif token.type == "inline" and token.children is not None:
            box = _task_box(tokens, index)
            token.children = [*box, *_inline(token.children, resolve, image, citation)]
        elif _is_diagram(token):
            token.type = "diagram"
        elif token.type == "table_open":
            token.attrSet("class", "data")
        elif token.type == "th_open":
            token.attrSet("scope", "col")
    renderer: Any = parser.renderer
    renderer.rules |= {
        "diagram": lambda tokens, at, *_: (
            f'<pre class="mermaid">{html.escape(tokens[at].content)}</pre>\n'
        ),
        "task_box": lambda tokens, at, *_: f'<input type="checkbox" disabled{tokens[at].info}> ',
        "html_block": _html,
        "html_inline": _html,
        "link_dead": lambda *_: '<span class="dead-link">',
        "link_dead_end": lambda *_: "</span>",
        "table_open": lambda *_: '<div class="table-scroll" tabindex="0"><table class="data">\n',
        "table_close": lambda *_: "</table></div>\n",
    }
    has_diagram = any(token.type == "diagram" for token in tokens)
    return Rendered(renderer.render(tokens, parser.options, {}), tuple(toc), has_diagram)


def _is_diagram(token: Token) -> bool:
    return token.type == "fence" and token.info.split()[:1] == ["mermaid"]


def _task_box(tokens: Sequence[Token], index: int) -> list[Token]:
    """The box of a list item that begins with ``[ ]`` or ``[x]``; its text loses these."""
    children = tokens[index].children or []
    first = children[0] if children else None
    before = [token.type for token in tokens[max(0, index - 2) : index]]
    if before != ["list_item_open", "paragraph_open"] or first is None or first.type != "text":
        return []
    match = _TASK.match(first.content)
    if match is None:
        return []
    first.content = first.content[match.end() :]
    tokens[index - 2].attrSet("class", "task")
    return [Token("task_box", "", 0, info="" if match[1] == " " else " checked")]


def _without_title(tokens: list[Token]) -> list[Token]:
    for index, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h1" and token.level == 0:
            return tokens[:index] + tokens[index + 3 :]
    return tokens


def _html(tokens: Sequence[Token], index: int, *_: object) -> str:
    content = _COMMENT.sub("", tokens[index].content)
    parts = re.split(r"(<br\s*/?>)", content, flags=re.IGNORECASE)
    return "".join("<br>" if _BREAK.fullmatch(part) else html.escape(part) for part in parts)


def _inline(
    children: Sequence[Token],
    resolve: Resolve,
    image: Resolve,
    citation: Callable[[int], str | None],
) -> Sequence[Token]:
    found: list[Token] = []
    dead: list[bool] = []
    for token in children:
        if token.type == "link_open":
            address = _address(str(token.attrGet("href") or ""), resolve)
            dead.append(address is None)
            if address is None:
                found.append(Token("link_dead", "span", 1))
                continue
            token.attrs = {"href": address}
            if _SCHEME.match(address):
                token.attrs["rel"] = "noopener noreferrer"
        elif token.type == "link_close":
            if dead and dead.pop():
                found.append(Token("link_dead_end", "span", -1))
                continue
        elif token.type == "image":
            found += _image(token, image, linked=bool(dead))
            continue
        elif token.type == "text" and not dead:
            found += _citations(token, citation)
            continue
        found.append(token)
    return found


def _address(target: str, resolve: Resolve) -> str | None:
    if _SCHEME.match(target):
        return target if _SAFE_SCHEME.match(target) else None
    if target.startswith("#"):
        return target
    return resolve(target)


def _image(token: Token, image: Resolve, *, linked: bool) -> list[Token]:
    source = str(token.attrGet("src") or "")
    alternative = _text(token.content or "image")
    local = None if _SCHEME.match(source) else image(source)
    if local is not None:
        token.attrs = {"src": local, "alt": "", "loading": "lazy"}
        return [token]
    if linked or not _SAFE_SCHEME.match(source):
        return [alternative]
    opening = Token("link_open", "a", 1, attrs={"href": source, "rel": "noopener noreferrer"})
    return [opening, alternative, Token("link_close", "a", -1)]


def _citations(token: Token, citation: Callable[[int], str | None]) -> list[Token]:
    parts: list[Token] = []
    at = 0
    for match in _CITATION.finditer(token.content):
        address = citation(int(match.group(1)))
        if address is None:
            continue
        parts += [
            _text(token.content[at : match.start()]),
            Token("link_open", "a", 1, attrs={"href": address}),
            _text(match.group()),
            Token("link_close", "a", -1),
        ]
        at = match.end()
    return [*parts, _text(token.content[at:])]


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _shown(inline: Token) -> str:
    parts = (child.content for child in inline.children or () if child.type != "html_inline")
    return " ".join("".join(parts).split()) or inline.content


def _anchor(heading: str, used: dict[str, int]) -> str:
    """``used`` are the anchors given so far, each with the last number tried behind it."""
    base = "s-" + ("-".join(re.findall(r"\w+", heading.lower())) or "section")
    anchor, copy = base, used.get(base, 1)
    while anchor in used:
        copy += 1
        anchor = f"{base}-{copy}"
    used[base] = copy
    used.setdefault(anchor, 1)
    return anchor
