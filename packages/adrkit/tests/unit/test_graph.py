from __future__ import annotations

import re
import string
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from adrkit.graph import EdgeKind, RecordGraph, read_graph, to_dot, to_mermaid
from adrkit.record import Record
from adrkit.testing import house


def record(number: int, text: str, slug: str = "title") -> Record:
    return Record.from_text(text, Path(f"{number:04d}-{slug}.md"))


def edges(graph: RecordGraph) -> set[tuple[str, str, str, bool]]:
    return {(e.source, e.target, e.kind.value, e.reciprocal) for e in graph.edges}


def test_supersession_declared_on_both_sides_is_one_reciprocal_edge() -> None:
    old = record(1, house(1, status="Superseded by ADR-0002"))
    new = record(2, house(2) + "- **Supersedes:** [ADR-0001](0001-title.md)\n")
    assert edges(read_graph([old, new])) == {("ADR0002", "ADR0001", "supersedes", True)}


def test_supersession_declared_on_one_side_is_not_reciprocal() -> None:
    old = record(1, house(1, status="Superseded by ADR-0002"))
    assert edges(read_graph([old, record(2, house(2))])) == {
        ("ADR0002", "ADR0001", "supersedes", False)
    }


def test_mention_is_an_edge_unless_left_out() -> None:
    records = [record(1, house(1)), record(2, house(2) + "\nAs ADR-0001 says.\n")]
    assert edges(read_graph(records)) == {("ADR0002", "ADR0001", "mentions", False)}
    assert read_graph(records, mentions=False).edges == ()


def test_number_without_a_record_is_a_missing_node() -> None:
    graph = read_graph([record(1, house(1) + "\nSee ADR-0099.\n")])
    assert [(n.key, n.record is None) for n in graph.nodes] == [
        ("ADR0001", False),
        ("ADR0099", True),
    ]
    assert "ADR-0099 (missing)" in to_mermaid(graph)
    assert "ADR-0099 (missing)" in to_dot(graph)


def test_records_sharing_a_number_stay_apart_and_the_linked_file_is_meant() -> None:
    one, two = record(5, house(5), "one"), record(5, house(5), "two")
    third = record(6, house(6) + "\nSee [this](0005-two.md).\n")
    graph = read_graph([one, two, third])
    assert [node.key for node in graph.nodes] == ["ADR0005", "ADR0005_2", "ADR0006"]
    assert edges(graph) == {("ADR0006", "ADR0005_2", "mentions", False)}
    assert graph.of(two).key == "ADR0005_2"


def test_record_naming_itself_as_successor_makes_no_edge() -> None:
    assert read_graph([record(1, house(1, status="Superseded by ADR-0001"))]).edges == ()


def test_kinds_of_edges_are_all_drawn() -> None:
    records = [
        record(1, house(1, status="Superseded by ADR-0002")),
        record(2, house(2) + "- **Amends:** ADR-0003\n"),
        record(3, house(3) + "\nADR-0001 was first.\n"),
    ]
    graph = read_graph(records)
    assert {edge.kind for edge in graph.edges} == set(EdgeKind)
    assert "ADR0002 -- supersedes --> ADR0001" in to_mermaid(graph)
    assert 'ADR0002 -> ADR0003 [label="amends", style=dashed]' in to_dot(graph)


HOSTILE = st.text(st.characters(codec="utf-8"), min_size=1) | st.text(
    '"\\]}[;#`<>&|\n' + string.ascii_letters, min_size=1
)


@given(HOSTILE, HOSTILE)
def test_no_title_breaks_out_of_its_label(title: str, address: str) -> None:
    hostile = Record.from_text(f"# ADR-0001: {title}\n\n**Status:** Accepted\n")
    graph = read_graph([hostile])
    mermaid = to_mermaid(graph, link=lambda _: address).splitlines()
    assert re.fullmatch(r'    ADR0001\["[^"<>`\\]*"\]:::accepted', mermaid[2])
    assert re.fullmatch(r'    click ADR0001 href "[^"<>\\\s]*"', mermaid[3])
    dot = to_dot(graph, link=lambda _: address).splitlines()
    quoted = r'"(?:\\.|[^"\\])*"'
    assert re.fullmatch(
        rf"    ADR0001 \[label={quoted}, fillcolor={quoted}, style={quoted}, URL={quoted}\];",
        dot[5],
    )
