"""The drawing of a graph: records in a column, relations as arcs beside it.

An arc diagram (Wattenberg 2002) keeps every title legible and crosses nothing but arcs, at 5
records as at 500; layered layouts of such graphs do not.
"""

from __future__ import annotations

from dataclasses import dataclass

from adrkit.graph import EdgeKind, RecordGraph

ROW_HEIGHT = 34
_MAX_REACH = 220
_MIN_REACH = 26


@dataclass(frozen=True, slots=True)
class Arc:
    path: str
    kind: EdgeKind
    source: str
    target: str
    label: str


@dataclass(frozen=True, slots=True)
class Dot:
    key: str
    y: int


@dataclass(frozen=True, slots=True)
class Drawing:
    width: int
    height: int
    x: int  # of the column of dots
    arcs: tuple[Arc, ...]
    dots: tuple[Dot, ...]


def draw(graph: RecordGraph) -> Drawing:
    """Rows in the graph's order; the reach of an arc grows with the rows it spans, to a limit."""
    row = {node.key: place for place, node in enumerate(graph.nodes)}
    spans = [abs(row[edge.source] - row[edge.target]) for edge in graph.edges]
    longest = max(spans, default=0)
    reach = min(_MIN_REACH + 14 * longest, _MAX_REACH)
    x = reach + 16
    arcs = []
    for edge, span in zip(graph.edges, spans, strict=True):
        bulge = _MIN_REACH + (reach - _MIN_REACH) * (span - 1) / max(longest - 1, 1)
        start, end = _y(row[edge.source]), _y(row[edge.target])
        # A cubic curve reaches three quarters of its control points' distance.
        control = round(x - 4 / 3 * bulge, 1)
        labels = graph.by_key[edge.source].label, graph.by_key[edge.target].label
        arcs.append(
            Arc(
                f"M{x - 7} {start}C{control} {start} {control} {end} {x - 7} {end}",
                edge.kind, edge.source, edge.target, f"{labels[0]} {edge.kind} {labels[1]}",
            )
        )  # fmt: skip
    dots = tuple(Dot(node.key, _y(row[node.key])) for node in graph.nodes)
    return Drawing(x + 12, ROW_HEIGHT * len(graph.nodes), x, tuple(arcs), dots)


def _y(row: int) -> int:
    return ROW_HEIGHT * row + ROW_HEIGHT // 2
