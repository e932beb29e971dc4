"""The graph of records: who replaces, amends and mentions whom."""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from adrkit.model import ReferenceKind, RelationKind, Status
from adrkit.names import same_name
from adrkit.record import Record

#: Around what a drawing says of records: labels in a committed graph are no citations.
NO_CITATIONS = "adr-check: off (drawn from the records)"
CITATIONS_AGAIN = "adr-check: on"


class EdgeKind(StrEnum):
    """What the record at an edge's source does to the one at its target."""

    SUPERSEDES = "supersedes"
    AMENDS = "amends"
    MENTIONS = "mentions"


@dataclass(frozen=True, slots=True)
class Node:
    """A record, or with ``record`` None a number that is named and that no record has.

    ``key`` is unique in its graph and made of ASCII letters, digits and ``_`` only, so that every
    output format can use it as an identifier: ``ADR0007``. ``group`` is the records directory,
    where the graph is of several: each has numbers of its own.
    """

    key: str
    label: str
    title: str
    status: Status | None
    record: Record | None
    group: str = ""

    @property
    def path(self) -> Path | None:
        return self.record.path if self.record else None


@dataclass(frozen=True, slots=True)
class Edge:
    """``reciprocal``: both records declare it; mentions have no other side."""

    source: str
    target: str
    kind: EdgeKind
    reciprocal: bool = False


@dataclass(frozen=True)
class RecordGraph:
    """``nodes`` in order of their number, numbers without a record last."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @cached_property
    def by_key(self) -> Mapping[str, Node]:
        return {node.key: node for node in self.nodes}

    @property
    def groups(self) -> Mapping[str, tuple[Node, ...]]:
        """Nodes by the directory of their records; one group, "", where there is only one."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            found.setdefault(node.group, []).append(node)
        return {group: tuple(nodes) for group, nodes in found.items()}

    def of(self, record: Record) -> Node:
        """Raises KeyError for a record that is not in the graph."""
        return self._by_identity[id(record)]

    @cached_property
    def _by_identity(self) -> Mapping[int, Node]:
        return {id(node.record): node for node in self.nodes if node.record is not None}

    @cached_property
    def leaving(self) -> Mapping[str, tuple[Edge, ...]]:
        """Edges by the key of their source; every node has an entry."""
        return self._grouped((edge.source, edge) for edge in self.edges)

    @cached_property
    def entering(self) -> Mapping[str, tuple[Edge, ...]]:
        """Edges by the key of their target; every node has an entry."""
        return self._grouped((edge.target, edge) for edge in self.edges)

    def _grouped(self, pairs: Iterable[tuple[str, Edge]]) -> Mapping[str, tuple[Edge, ...]]:
        found: dict[str, list[Edge]] = {node.key: [] for node in self.nodes}
        for key, edge in pairs:
            found[key].append(edge)
        return {key: tuple(edges) for key, edges in found.items()}


# A declaration names the kind and whether the record that makes it is the edge's source.
_DECLARED = {
    RelationKind.SUPERSEDES: (EdgeKind.SUPERSEDES, True),
    RelationKind.SUPERSEDED_BY: (EdgeKind.SUPERSEDES, False),
    RelationKind.AMENDS: (EdgeKind.AMENDS, True),
    RelationKind.AMENDED_BY: (EdgeKind.AMENDS, False),
}


def read_graph(records: Sequence[Record], *, mentions: bool = True) -> RecordGraph:
    """Graph of the records of one directory; see ``read_graphs``."""
    return read_graphs({"": records}, mentions=mentions)


def read_graphs(
    directories: Mapping[str, Sequence[Record]], *, mentions: bool = True
) -> RecordGraph:
    """Graph of the records of several directories. Both sides' declarations of one relation make
    one edge.

    A number means a record of its own directory, unless a link leads to a file of another. One that
    several records share leads to the one whose file is linked, else to the first.
    """
    nodes = _nodes(directories)
    by_number: dict[tuple[str, int], list[Node]] = {}
    by_path: dict[Path, Node] = {}
    for node in nodes:
        if node.record is not None and node.record.number is not None:
            by_number.setdefault((node.group, node.record.number), []).append(node)
        if node.path is not None:
            by_path[node.path.resolve()] = node
    missing: dict[tuple[str, int], Node] = {}

    def target(of: Node, number: int, link: str | None) -> Node:
        path = unquote(link.split("#")[0]) if link else ""
        if path and of.path is not None and len(directories) > 1:
            there = by_path.get(Path(os.path.normpath(of.path.resolve().parent / path)))
            if there is not None:
                return there
        found = by_number.get((of.group, number))
        if not found:
            key, label = f"{_prefix(directories, of.group)}ADR{number:04d}", f"ADR-{number:04d}"
            return missing.setdefault(
                (of.group, number), Node(key, label, "", None, None, of.group)
            )
        name = path.rsplit("/", 1)[-1]
        linked = (node for node in found if node.path and same_name(node.path.name, name))
        return next(linked, found[0])

    declared: dict[tuple[str, str, EdgeKind], set[bool]] = {}
    mentioned: dict[tuple[str, str], None] = {}
    for node in nodes:
        if node.record is None:
            continue
        for relation in node.record.relations:
            kind, is_source = _DECLARED[relation.kind]
            other = target(node, relation.number, relation.target)
            if other.key == node.key:
                continue  # a record cannot replace itself; lint says so
            pair = (node.key, other.key) if is_source else (other.key, node.key)
            declared.setdefault((*pair, kind), set()).add(is_source)
        for reference in node.record.references if mentions else ():
            link = reference.target if reference.kind is ReferenceKind.LINK else None
            other = target(node, reference.number, link)
            if other.key != node.key:
                mentioned[node.key, other.key] = None
    related = {frozenset((source, goal)) for source, goal, _ in declared}
    edges = [Edge(*key, reciprocal=len(sides) == 2) for key, sides in declared.items()]
    edges += (
        Edge(source, goal, EdgeKind.MENTIONS)
        for source, goal in mentioned
        if frozenset((source, goal)) not in related
    )
    order = {edge_kind: place for place, edge_kind in enumerate(EdgeKind)}
    edges.sort(key=lambda edge: (order[edge.kind], edge.source, edge.target))
    return RecordGraph((*nodes, *(missing[number] for number in sorted(missing))), tuple(edges))


def _prefix(directories: Mapping[str, Sequence[Record]], group: str) -> str:
    """What keeps the keys of several directories apart."""
    return f"D{[*directories].index(group) + 1}_" if len(directories) > 1 else ""


def _nodes(directories: Mapping[str, Sequence[Record]]) -> tuple[Node, ...]:
    nodes: list[Node] = []
    taken: set[str] = set()
    for group, records in directories.items():
        prefix = _prefix(directories, group)
        for record in records:
            stem = (
                f"{prefix}ADR{record.number:04d}"
                if record.number is not None
                else (f"{prefix}RECORD")
            )
            key, copy = stem, 1
            while key in taken or (record.number is None and copy == 1):
                copy += 1
                key = f"{stem}_{copy}"
            taken.add(key)
            nodes.append(Node(key, record.label, record.name, record.status_kind, record, group))
    return tuple(nodes)
