"""Front matter at the very top: YAML between ``---`` lines, TOML between ``+++`` lines, or JSON,
between ``;;;`` lines or as an object of its own (Hugo).

What is read are texts with the place where each is written, never objects: no tag is obeyed, dates
and numbers stay as they were typed (``0042`` is no octal number). Front matter is a page of keys;
what is longer, or grows beyond measure when its aliases are followed, is not read, and ``problem``
says so. Of front matter that does not parse the plain ``key: value`` lines are read all the same:
people write ``deciders: @anna`` and ``title: Queues: why``, which are no YAML.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from adrkit.document.source import Span

#: More is no front matter; PyYAML reads some 100 kB a second.
MAX_CHARACTERS = 64 * 1024
_MAX_VALUES = 2000
_MAX_DEPTH = 20

_BLOCK = re.compile(
    r"(?:---[ \t]*(?:\r\n?|\n)(?P<yaml>.*?)^(?:---|\.\.\.)"
    r"|\+\+\+[ \t]*(?:\r\n?|\n)(?P<toml>.*?)^\+\+\+"
    r"|;;;[ \t]*(?:\r\n?|\n)(?P<json>.*?)^;;;)[ \t]*(?=\r|\n|\Z)",
    re.S | re.M,
)
# A record may begin with a ruling: without a key or a list between the two it is none of these.
_MAPPING_LINE = re.compile(r"^[ \t]*(?:[\w\"'$.@-][^\r\n#:]*:(?:[ \t\r\n]|$)|[-{\[])", re.M)
_PLAIN_LINE = re.compile(
    r"^(?P<key>[A-Za-z][\w .-]*?)[ \t]*[:=](?:[ \t]+|(?=[\"'\[]))"
    r"(?P<value>\"[^\"\r\n]*\"|'[^'\r\n]*'|[^\r\n]*?)(?:[ \t]+#[^\r\n]*)?[ \t]*$",
    re.M,
)
_CORE = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Entry:
    """A top-level key. ``values`` are the texts written: one, or those of a list, none for null;
    ``span`` covers the value as written, ``key_span`` the key."""

    key: str
    values: tuple[str, ...]
    span: Span
    key_span: Span

    @property
    def text(self) -> str:
        return ", ".join(self.values)


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """``data`` is None when it does not parse; ``problem`` says why. ``entries`` are in order,
    a key that is written twice is there twice."""

    text: str
    span: Span
    content: Span
    data: dict[str, Any] | None
    problem: str | None
    format: str = "yaml"
    entries: tuple[Entry, ...] = field(default=())

    def entry(self, key: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.key.casefold() == key), None)

    def value_span(self, key: str) -> Span | None:
        """Span of the value written for ``key``, trailing comment excluded."""
        return next((entry.span for entry in self.entries if entry.key == key), None)


class _NotReadError(Exception):
    pass


def read_front_matter(text: str) -> FrontMatter | None:
    """None when the text does not begin with front matter."""
    if text.startswith("{"):
        return _object(text)
    if not text.startswith(("---", "+++", ";;;")):
        return None
    match = _BLOCK.match(text)
    if match is None:
        return None
    name = str(match.lastgroup)
    span, content = Span(match.start(), match.end()), Span(*match.span(name))
    body = match[name]
    if name == "yaml" and body.strip() and _MAPPING_LINE.search(body[:MAX_CHARACTERS]) is None:
        return None
    if len(body) > MAX_CHARACTERS:
        problem = f"longer than {MAX_CHARACTERS // 1024} KiB"
        return FrontMatter(body, span, content, None, problem, name)
    try:
        read = _READERS[name](body, content.start)
    except _NotReadError as error:
        plain = tuple(_plain_entries(body, content.start))
        return FrontMatter(body, span, content, None, str(error), name, plain)
    data, entries = read
    return FrontMatter(body, span, content, data, None, name, entries)


# --- YAML -----------------------------------------------------------------------------------


def _yaml(body: str, start: int) -> tuple[dict[str, Any], tuple[Entry, ...]]:
    """PyYAML counts "\\r\\n" as one line end but as two characters: its marks are offsets."""
    try:
        root = yaml.compose(body, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _NotReadError(" ".join(str(error).split()) or "nested too deeply") from error
    if root is None:
        return {}, ()
    if not isinstance(root, yaml.MappingNode):
        kind = "list" if isinstance(root, yaml.SequenceNode) else "text"
        raise _NotReadError(f"a mapping is expected, not a {kind}")
    budget = [_MAX_VALUES]
    data: dict[str, Any] = {}
    entries = []
    for key_node, value_node in root.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _NotReadError("a key that is no text")
        key = _text(key_node)
        value = _value(value_node, budget, 0)
        data[key] = value
        key_span = Span(start + key_node.start_mark.index, start + key_node.end_mark.index)
        span = _span(value_node, body, start)
        if span.start < key_span.end and (
            alias := re.compile(r"[ \t]*:\s*(\*[^\s,\]}]+)").match(body, key_node.end_mark.index)
        ):  # what it stands for is written elsewhere, for another key
            span = Span(start + alias.start(1), start + alias.end(1))
        entries.append(Entry(key, tuple(_texts(value)), span, key_span))
    return data, tuple(entries)


def _object(text: str) -> FrontMatter | None:
    """A JSON object before the rest: what does not parse is text that begins with a brace."""
    try:
        _, end = json.JSONDecoder().raw_decode(text[:MAX_CHARACTERS])
        data, entries = _json(text[:end], 0)
    except (_NotReadError, ValueError, RecursionError):
        return None
    if not data or text[end : end + 1] not in ("", "\n", "\r"):
        return None
    span = Span(0, end)
    return FrontMatter(text[:end], span, span, data, None, "json", entries)


def _json(body: str, start: int) -> tuple[dict[str, Any], tuple[Entry, ...]]:
    """Read as the YAML that it is but for tabs, which stand between values alone, and escapes."""
    try:
        json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _NotReadError(" ".join(str(error).split()) or "nested too deeply") from error
    return _yaml(body.replace("\t", " "), start)


def _span(node: yaml.Node, body: str, start: int) -> Span:
    low, high = node.start_mark.index, node.end_mark.index
    while high > low and body[high - 1].isspace():
        high -= 1  # a block's end is where the next key begins
    return Span(start + low, start + high)


def _value(node: yaml.Node, budget: list[int], depth: int) -> Any:
    budget[0] -= 1
    if budget[0] < 0 or depth > _MAX_DEPTH:
        raise _NotReadError("its aliases or lists grow beyond measure")
    if not node.tag.startswith(_CORE) or node.tag.startswith(f"{_CORE}python/"):
        raise _NotReadError(f"the tag {node.tag!r} is not obeyed")
    if isinstance(node, yaml.MappingNode):
        return {
            str(_value(key, budget, depth + 1)): _value(value, budget, depth + 1)
            for key, value in node.value
        }
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, budget, depth + 1) for item in node.value]
    return None if node.tag == f"{_CORE}null" else _text(node)


def _text(node: yaml.Node) -> str:
    if any("\ud800" <= mark < "\ue000" for mark in node.value):
        raise _NotReadError("half a character written as an escape")
    return str(node.value)


def _texts(value: Any) -> Iterator[str]:
    """``accepted``, ``[accepted]`` and ``{accepted}`` (a template's braces left on) are alike."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if inner is None:
                yield str(key)
            else:
                yield from (f"{key}: {text}" for text in _texts(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif value is not None:
        yield str(value)


# --- TOML and what does not parse -------------------------------------------------------------


def _toml(body: str, start: int) -> tuple[dict[str, Any], tuple[Entry, ...]]:
    try:
        data = tomllib.loads(body.replace("\r\n", "\n").replace("\r", "\n"))
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise _NotReadError(" ".join(str(error).split()) or "nested too deeply") from error
    places = {entry.key: entry for entry in _plain_entries(body.split("\n[", maxsplit=1)[0], start)}
    entries = tuple(
        Entry(key, tuple(_texts(_as_text(value))), places[key].span, places[key].key_span)
        for key, value in data.items()
        if key in places
    )
    return data, entries


_READERS = {"yaml": _yaml, "toml": _toml, "json": _json}


def _as_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_text(inner) for key, inner in value.items()}
    return [_as_text(inner) for inner in value] if isinstance(value, list) else str(value)


def _plain_entries(body: str, start: int) -> Iterator[Entry]:
    # `$` does not match before "\r", so the search runs over text with CR made blank.
    for match in _PLAIN_LINE.finditer(re.sub(r"\r(?=\n)", " ", body).replace("\r", "\n")):
        written = match["value"]
        value = written.strip("\"'[]{} \t")
        low, high = match.span("value")
        yield Entry(
            match["key"], (value,) if value else (), Span(start + low, start + high),
            Span(start + match.start("key"), start + match.end("key")),
        )  # fmt: skip
