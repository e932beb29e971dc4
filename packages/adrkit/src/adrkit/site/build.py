"""The files of a site: pages, drawing, search index and assets."""

from __future__ import annotations

import json
import os.path
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from jinja2 import Environment, PackageLoader, StrictUndefined

from adrkit.bounded import read_bounded
from adrkit.document import plain
from adrkit.errors import AdrkitError, WriteFailed
from adrkit.graph import Edge, EdgeKind, Node, RecordGraph, read_graphs
from adrkit.model import Status
from adrkit.names import existing
from adrkit.record import Record
from adrkit.renames import Renames
from adrkit.site.arcs import ROW_HEIGHT, draw
from adrkit.site.markdown import Rendered, render
from adrkit.transaction import write_atomically

MARKER = ".adr-site"
_ASSETS = ("style.css", "site.js")
#: The browser draws diagrams with it: mermaid's small distribution, unchanged, with its licence.
_DIAGRAMS = ("mermaid/mermaid.js", "mermaid/LICENSE")
#: What a marker may name: it comes with the directory, and the files it names are removed.
_OWN = re.compile(r"[^/]+\.html|(?:assets|images)/[^\0]+")
_IMAGES = {".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".avif"}
_MAX_IMAGE_BYTES = 10_000_000


class SiteDirectoryInUse(AdrkitError):
    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path} holds files that are not of a site made by adrkit; nothing was written",
            remedy="name a new or empty directory with --output",
        )


@dataclass(frozen=True, slots=True)
class PageLink:
    """A record as other pages list it."""

    label: str
    title: str
    status: str
    address: str | None


def build_site(
    records: Sequence[Record],
    root: Path,
    title: str = "Architecture decisions",
    renames: Renames | None = None,
) -> dict[str, bytes]:
    """Contents by path relative to the site. The same records give the same bytes.

    With ``renames``, code that a record names is shown where it is now, too.
    """
    return build_sites({"": records}, root, title, {"": renames})


def build_sites(
    directories: Mapping[str, Sequence[Record]],
    root: Path,
    title: str = "Architecture decisions",
    renames: Mapping[str, Renames | None] | None = None,
) -> dict[str, bytes]:
    """``build_site`` of several directories, by their names: one site, in which each record says
    where it is decided."""
    return _Site(directories, root, title, renames or {}).build()


def write_site(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Write the site; files of an earlier one that it no longer has are removed.

    Nothing outside of ``directory`` is touched, whatever its links and its marker say. Raises
    SiteDirectoryInUse, PathOutside or WriteFailed.
    """
    marker = directory / MARKER
    try:
        exists = marker.is_file()
        if directory.exists() and any(directory.iterdir()) and not exists:
            raise SiteDirectoryInUse(directory)
        old = read_bounded(marker).decode(errors="replace").splitlines() if exists else []
        directory.mkdir(parents=True, exist_ok=True)
        listed = "".join(f"{name}\n" for name in sorted(contents))
        write_atomically(marker, listed.encode(), directory, durable=False)
        for name, content in contents.items():
            write_atomically(directory / name, content, directory, durable=False)
        for name in old:
            if name not in contents and _OWN.fullmatch(name) and ".." not in name.split("/"):
                folder = (directory / name).parent.resolve()
                if folder.is_relative_to(directory.resolve()):
                    (directory / name).unlink(missing_ok=True)
    except OSError as error:
        raise WriteFailed(Path(str(error.filename or directory)), str(error.strerror)) from error


class _Site:
    def __init__(
        self,
        directories: Mapping[str, Sequence[Record]],
        root: Path,
        title: str,
        renames: Mapping[str, Renames | None],
    ) -> None:
        self.root, self.title, self.renames = root.resolve(), title, renames
        self.graph: RecordGraph = read_graphs(directories)
        self.is_one = len(directories) == 1
        self.nodes = [node for node in self.graph.nodes if node.record is not None]
        self.page = self._page_names()
        self.by_path = {n.path.resolve(): n for n in self.nodes if n.path is not None}
        self.by_number: dict[tuple[str, int], Node] = {}
        for node in self.nodes:
            if node.record is not None and node.record.number is not None:
                self.by_number.setdefault((node.group, node.record.number), node)
        self.images: dict[str, bytes] = {}
        self.has_diagram = False
        self.environment = Environment(
            loader=PackageLoader("adrkit.site"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def build(self) -> dict[str, bytes]:
        counts = Counter(self._status(node) for node in self.nodes)
        order = [*(status.value for status in Status), "Unknown"]
        statuses = [(name, counts[name]) for name in order if counts[name]]
        contents = {
            "index.html": self._render(
                "index.html.j2", cards=[self._card(node) for node in reversed(self.nodes)],
                statuses=statuses, total=len(self.nodes),
            ),
            "graph.html": self._render(
                "graph.html.j2", drawing=draw(self.graph), row_height=ROW_HEIGHT,
                links={node.key: self._link(node) for node in self.graph.nodes},
                relations=[
                    (self._link(self.graph.by_key[e.source]), e.kind.value,
                     self._link(self.graph.by_key[e.target]))
                    for e in self.graph.edges
                ],
            ),
            "assets/search-index.js": self._search_index(),
        }  # fmt: skip
        for place, node in enumerate(self.nodes):
            contents[self.page[node.key]] = self._record_page(node, place)
        for name in (*_ASSETS, *(_DIAGRAMS if self.has_diagram else ())):
            contents[f"assets/{name}"] = files(__package__).joinpath("assets", name).read_bytes()
        return contents | self.images

    # -- pages -------------------------------------------------------------------------------

    def _render(self, template: str, **values: Any) -> bytes:
        text = self.environment.get_template(template).render(site_title=self.title, **values)
        return text.encode("utf-8", "replace")

    def _record_page(self, node: Node, place: int) -> bytes:
        record = node.record
        if record is None:  # only records have pages
            raise ValueError(node.key)
        leaving, entering = self.graph.leaving[node.key], self.graph.entering[node.key]
        body = self._body(record)
        self.has_diagram |= body.has_diagram
        return self._render(
            "record.html.j2",
            card=self._card(node),
            body=body.html,
            toc=body.toc,
            has_diagram=body.has_diagram,
            date=record.date.value if record.date else "",
            relations=[
                ("Superseded by", self._others(entering, EdgeKind.SUPERSEDES, source=True)),
                ("Supersedes", self._others(leaving, EdgeKind.SUPERSEDES, source=False)),
                ("Amended by", self._others(entering, EdgeKind.AMENDS, source=True)),
                ("Amends", self._others(leaving, EdgeKind.AMENDS, source=False)),
                ("Mentions", self._others(leaving, EdgeKind.MENTIONS, source=False)),
                ("Mentioned by", self._others(entering, EdgeKind.MENTIONS, source=True)),
            ],
            paths=sorted(self._paths(record).items()),
            previous=self._link(self.nodes[place - 1]) if place else None,
            following=self._link(self.nodes[place + 1]) if place + 1 < len(self.nodes) else None,
        )

    def _paths(self, record: Record) -> dict[str, str]:
        """Code that the record names, with its place today where that is another, else ""."""
        found = {}
        renames = self.renames.get(self.graph.of(record).group)
        for cited in record.cited_paths:
            if cited.is_link:
                continue
            there = (self.root / cited.path).exists()
            moved = (
                renames.follow(record.path, cited.path, cited.raw)
                if renames is not None and record.path is not None and not there
                else None
            )
            found[cited.path] = moved.to if moved else ""
        return found

    def _body(self, record: Record) -> Rendered:
        """The record without front matter and the header lines that the page shows itself."""
        document = record.document
        start = document.front_matter.span.end if document.front_matter else 0
        text = document.text[start:]
        return render(
            text,
            resolve=lambda target: self._resolve(record, target),
            image=lambda target: self._image(record, target),
            citation=lambda number: self._citation(record, number),
        )

    def _card(self, node: Node) -> dict[str, str]:
        record = node.record
        decision = record.decision.plain if record and record.decision else ""
        return {
            "label": node.label,
            "place": node.group,
            "title": node.title or "(no title)",
            "status": self._status(node),
            "status_text": record.status.raw if record and record.status else "No status",
            "date": record.date.value if record and record.date else "",
            "decision": decision if len(decision) <= 280 else decision[:279] + "…",
            "address": quote(self.page[node.key]),
            "page": self.page[node.key],
        }

    def _others(self, edges: Sequence[Edge], kind: EdgeKind, *, source: bool) -> list[PageLink]:
        keys = [edge.source if source else edge.target for edge in edges if edge.kind is kind]
        return [self._link(self.graph.by_key[key]) for key in keys]

    def _link(self, node: Node) -> PageLink:
        name = self.page.get(node.key)
        title = node.title or ("(no title)" if node.record else "(no such record)")
        label = node.label if self.is_one else f"{node.group}/{node.label}"
        return PageLink(label, title, self._status(node), quote(name) if name else None)

    @staticmethod
    def _status(node: Node) -> str:
        return node.status.value if node.status else "Unknown"

    def _search_index(self) -> bytes:
        entries = [
            {"page": self.page[n.key], "text": _words(n.record.document.text)}
            for n in self.nodes
            if n.record is not None
        ]
        # ASCII and without "<": the same inside a script element as in a file of its own.
        text = json.dumps(entries, separators=(",", ":")).replace("<", "\\u003c")
        return f"window.adrSearchIndex = {text};\n".encode()

    # -- addresses ---------------------------------------------------------------------------

    def _page_names(self) -> dict[str, str]:
        names: dict[str, str] = {}
        taken = {"index.html", "graph.html"}
        for node in self.nodes:
            stem = node.path.stem if node.path else node.key.lower()
            stem = stem if self.is_one else f"{node.group}-{stem}"
            stem = unicodedata.normalize("NFC", stem)  # marks of their own would become dashes
            stem = re.sub(r"[^\w.-]+", "-", stem).strip(".-") or node.key.lower()
            name, copy = f"{stem}.html", 1
            while name.casefold() in taken:
                copy += 1
                name = f"{stem}-{copy}.html"
            taken.add(name.casefold())
            names[node.key] = name
        return names

    def _resolve(self, record: Record, target: str) -> str | None:
        path = re.split(r"[?#]", target)[0]
        if record.path is None or not path:
            return None
        file = Path(os.path.normpath(record.path.resolve().parent / unquote(path)))
        node = self.by_path.get(file) or self.by_path.get(existing(file) or file)
        return quote(self.page[node.key]) if node else None

    def _citation(self, record: Record, number: int) -> str | None:
        node = self.by_number.get((self.graph.of(record).group, number))
        if node is None or node.record is record:
            return None
        return quote(self.page[node.key])

    def _image(self, record: Record, target: str) -> str | None:
        """Copies an image that lies inside the project; None for any other."""
        if record.path is None:
            return None
        name = unquote(re.split(r"[?#]", target)[0])
        try:
            file = record.path.parent / name
            file = (existing(file) or file).resolve()
            inside = file.is_relative_to(self.root) and file.suffix.lower() in _IMAGES
            if not inside or not file.is_file() or file.stat().st_size > _MAX_IMAGE_BYTES:
                return None
            content = file.read_bytes()
        except (OSError, ValueError):
            return None
        place = "images/" + file.relative_to(self.root).as_posix()
        self.images[place] = content
        return quote(place)


def _words(markdown: str) -> str:
    """What a search looks through: the text without the marks of headings and tables."""
    return plain(re.sub(r"^#+ |\||^[-:| ]{3,}$", " ", markdown, flags=re.MULTILINE))
