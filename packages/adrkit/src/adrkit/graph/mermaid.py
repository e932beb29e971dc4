"""A graph of records as a Mermaid flowchart, as GitHub and GitLab render it."""

from __future__ import annotations

import re
from collections.abc import Callable

from adrkit.graph.links import (
    CITATIONS_AGAIN,
    NO_CITATIONS,
    EdgeKind,
    Node,
    RecordGraph,
)
from adrkit.model import Status

_ARROWS = {
    EdgeKind.SUPERSEDES: "-- supersedes -->",
    EdgeKind.AMENDS: "-. amends .->",
    EdgeKind.MENTIONS: "-.->",
}
# Fill, border and text; legible on light and dark pages alike.
_CLASSES = {
    Status.PROPOSED: "fill:#fff4d6,stroke:#9a6700,color:#3d2a00",
    Status.ACCEPTED: "fill:#dcf5e3,stroke:#1a7f37,color:#0b3517",
    Status.REJECTED: "fill:#ffe1de,stroke:#b42318,color:#4d0f0a",
    Status.DEPRECATED: "fill:#eceff3,stroke:#57606a,color:#24292f",
    Status.SUPERSEDED: "fill:#eceff3,stroke:#57606a,color:#24292f,stroke-dasharray:4 3",
}
_UNKNOWN = "fill:#ffffff,stroke:#57606a,color:#24292f,stroke-dasharray:2 2"
# Mermaid reads HTML, Markdown and its own entities in quoted labels; as entities they are text.
_ESCAPED = re.compile(r'[#"&<>`\\;*_\[\]{}|]')


def to_mermaid(
    graph: RecordGraph, *, direction: str = "LR", link: Callable[[Node], str | None] | None = None
) -> str:
    """Flowchart text that ends in a newline. ``link`` gives a node's address, None for none."""
    lines = [f"flowchart {direction}", f"    %% {NO_CITATIONS}"]
    groups = graph.groups
    for place, (group, nodes) in enumerate(groups.items(), 1):
        if len(groups) > 1:
            lines.append(f'    subgraph D{place}["{_escaped(group)}"]')
        lines += (_node(node) for node in nodes)
        if len(groups) > 1:
            lines.append("    end")
    lines += (f"    {edge.source} {_ARROWS[edge.kind]} {edge.target}" for edge in graph.edges)
    for node in graph.nodes:
        address = link(node) if link and node.record is not None else None
        if address:
            lines.append(f'    click {node.key} href "{_address(address)}"')
    used = {node.status for node in graph.nodes}
    lines += (
        f"    classDef {status.value.lower()} {style}"
        for status, style in _CLASSES.items()
        if status in used
    )
    if None in used:
        lines.append(f"    classDef unknown {_UNKNOWN}")
    return "\n".join([*lines, f"    %% {CITATIONS_AGAIN}"]) + "\n"


def _node(node: Node) -> str:
    text = f"{node.label}: {node.title}" if node.title else node.label
    if node.record is None:
        text += " (missing)"
    status = node.status.value.lower() if node.status else "unknown"
    return f'    {node.key}["{_escaped(text)}"]:::{status}'


def _escaped(text: str) -> str:
    single = "".join(c if c.isprintable() else " " for c in text)
    return _ESCAPED.sub(lambda match: f"#{ord(match.group())};", single)


def _address(address: str) -> str:
    return re.sub(r'["<>\\\s]', lambda match: f"%{ord(match.group()):02X}", address)
