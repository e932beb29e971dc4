"""How records relate to each other, as data and as Mermaid or Graphviz text."""

from adrkit.graph.dot import to_dot
from adrkit.graph.links import Edge, EdgeKind, Node, RecordGraph, read_graph, read_graphs
from adrkit.graph.mermaid import to_mermaid

__all__ = [
    "Edge",
    "EdgeKind",
    "Node",
    "RecordGraph",
    "read_graph",
    "read_graphs",
    "to_dot",
    "to_mermaid",
]
