"""A graph of records in Graphviz's DOT language."""

from __future__ import annotations

from collections.abc import Callable

from adrkit.graph.links import (
    CITATIONS_AGAIN,
    NO_CITATIONS,
    EdgeKind,
    Node,
    RecordGraph,
)
from adrkit.model import Status

_EDGES = {
    EdgeKind.SUPERSEDES: '[label="supersedes", style=bold]',
    EdgeKind.AMENDS: '[label="amends", style=dashed]',
    EdgeKind.MENTIONS: "[style=dotted, arrowhead=open]",
}
_FILLS = {
    Status.PROPOSED: "#fff4d6",
    Status.ACCEPTED: "#dcf5e3",
    Status.REJECTED: "#ffe1de",
    Status.DEPRECATED: "#eceff3",
    Status.SUPERSEDED: "#eceff3",
    None: "#ffffff",
}
_WITHDRAWN = {Status.SUPERSEDED, Status.DEPRECATED, Status.REJECTED, None}


def to_dot(graph: RecordGraph, *, link: Callable[[Node], str | None] | None = None) -> str:
    """A digraph that ends in a newline. ``link`` gives a node's address, None for none."""
    lines = [
        "digraph decisions {",
        f"    // {NO_CITATIONS}",
        '    graph [rankdir=LR, fontname="sans-serif"];',
        '    node [shape=box, style="rounded,filled", fontname="sans-serif"];',
        '    edge [fontname="sans-serif", fontsize=10];',
    ]
    groups = graph.groups
    for place, (group, nodes) in enumerate(groups.items(), 1):
        if len(groups) > 1:
            lines.append(f"    subgraph cluster_{place} {{ label={_quoted(group)};")
        lines += (_node(node, link) for node in nodes)
        if len(groups) > 1:
            lines.append("    }")
    lines += (f"    {edge.source} -> {edge.target} {_EDGES[edge.kind]};" for edge in graph.edges)
    return "\n".join([*lines, f"    // {CITATIONS_AGAIN}", "}"]) + "\n"


def _node(node: Node, link: Callable[[Node], str | None] | None) -> str:
    text = node.label if node.record is not None else f"{node.label} (missing)"
    label = _quoted(text)[:-1] + (f"\\n{_quoted(node.title)[1:]}" if node.title else '"')
    style = "rounded,filled,dashed" if node.status in _WITHDRAWN else "rounded,filled"
    attributes = [f"label={label}", f'fillcolor="{_FILLS[node.status]}"', f'style="{style}"']
    address = link(node) if link and node.record is not None else None
    if address:
        attributes.append(f"URL={_quoted(address)}")
    return f"    {node.key} [{', '.join(attributes)}];"


def _quoted(text: str) -> str:
    single = "".join(c if c.isprintable() else " " for c in text)
    return '"' + single.replace("\\", "\\\\").replace('"', '\\"') + '"'
