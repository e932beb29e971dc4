"""Links and citations of records that get other names, numbers or another directory."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from adrkit.document import Document, Edit, LinkKind, Span
from adrkit.model import ReferenceKind
from adrkit.names import existing
from adrkit.record import Record

_EXTERNAL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//|/|#|\Z")
_DEFINITION = re.compile(r"^ {0,3}\[(?:\\.|[^\[\]\\\n])+\]:[ \t]*<?(?P<target>[^\s<>]+)", re.M)


@dataclass(frozen=True)
class Moves:
    """Where source files went: absolute source path to target path.

    ``numbers`` maps old numbers to new ones, without those that several records share.
    """

    paths: Mapping[Path, Path] = field(default_factory=dict)
    numbers: Mapping[int, int] = field(default_factory=dict)

    def number(self, old: int) -> int:
        return self.numbers.get(old, old)

    def of(self, old: Path) -> Path | None:
        """Where the record at ``old`` goes, its name in either normal form."""
        return self.paths.get(old) or self.paths.get(existing(old) or old)

    def number_at(self, source: Path | None, target: str) -> int | None:
        """The new number of the record that a link in ``source`` leads to."""
        if source is None:
            return None
        path = unquote(re.split(r"[?#]", target, maxsplit=1)[0])
        new = self.of(Path(os.path.normpath(source.parent.resolve() / path)))
        return int(new.name[:4]) if new else None

    def renumbered(self, text: str) -> str:
        """``ADR-5`` in ``text`` with the new number, zeros as they were written."""

        def replace(match: re.Match[str]) -> str:
            old = int(match.group(2))
            if self.number(old) == old:
                return match.group()
            return f"{match.group(1)}{self.number(old):0{len(match.group(2))}d}"

        return re.sub(r"(\bADR[-_ ]?)(\d{1,6})(?!\d)", replace, text, flags=re.IGNORECASE)


def relink_edits(record: Record, target: Path, moves: Moves) -> list[Edit]:
    """Edits after which the links of ``record`` lead, from ``target``, where they led before."""
    document = record.document
    edits = {edit.span: edit for edit in _link_edits(document, target, moves)}
    for reference in record.references:
        if moves.number(reference.number) == reference.number:
            continue
        # Of a link only the text: its target has been dealt with.
        end = reference.span.end
        if reference.kind is ReferenceKind.LINK:
            closing = document.text.find("](", reference.span.start, end)
            end = closing if closing >= 0 else end
        span = Span(reference.span.start, end)
        written = document.slice(span)
        after = moves.renumbered(written)
        if after != written and not any(_overlap(span, other) for other in edits):
            edits[span] = Edit(span, after)
    return sorted(edits.values(), key=lambda edit: edit.span.start)


def _link_edits(document: Document, target: Path, moves: Moves) -> Iterator[Edit]:
    if document.path is None:
        return
    for link in document.links:
        if link.target_span is None or link.kind is LinkKind.AUTOLINK:
            continue
        new = _moved(link.target, document.path, target, moves)
        if new is not None:
            yield Edit(link.target_span, new)
    for match in _DEFINITION.finditer(document.text):
        if any(match.start() in range(f.span.start, f.span.end) for f in document.fences):
            continue
        new = _moved(match["target"], document.path, target, moves)
        if new is not None:
            yield Edit(Span(*match.span("target")), new)


def _moved(written: str, source: Path, target: Path, moves: Moves) -> str | None:
    """The link target for the record's new place, None when it can stay as it is."""
    path = re.split(r"[?#]", written, maxsplit=1)[0]
    if _EXTERNAL.match(path):
        return None
    old = Path(os.path.normpath(source.parent.resolve() / unquote(path)))
    new = moves.of(old)
    if new is None and source.parent.resolve() == target.parent.resolve():
        return None
    place = os.path.relpath(new or old, target.parent.resolve())
    ending = "/" if path.endswith("/") else ""
    after = quote(Path(place).as_posix(), safe="/!$&'*+,;=:@~") + ending + written[len(path) :]
    return after if after != written else None


def _overlap(left: Span, right: Span) -> bool:
    return left.start < right.end and right.start < left.end
