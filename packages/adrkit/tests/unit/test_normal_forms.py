"""A file name typed in one Unicode normal form and committed in the other is one name."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.graph import read_graph
from adrkit.importing.relink import Moves
from adrkit.names import existing
from adrkit.record import Record
from adrkit.site import build_site
from adrkit.testing import GitProject, house

FORMS = [("NFC", "NFD"), ("NFD", "NFC")]


def named(form: str, name: str) -> str:
    return unicodedata.normalize(form, name)


def linted(project: GitProject) -> list[tuple[str, int]]:
    result = CliRunner().invoke(app, ["-C", str(project.root), "lint", "-f", "json"])
    found = json.loads(result.stdout)["findings"]
    return [(f["code"], f["line"]) for f in found if f["code"] in ("ADR601", "ADR602")]


@pytest.mark.parametrize(("disk", "typed"), FORMS)
def test_links_and_paths_in_either_form_are_there_and_others_are_not(
    project: GitProject, disk: str, typed: str
) -> None:
    project.write("src/app.py", "")
    project.write(named(disk, "src/größe/maß-é.py"), "")
    project.write(named(disk, "docs/adr/übersicht.txt"), "")
    names = [named(typed, "übersicht.txt"), quote(named(typed, "übersicht.txt"))]
    good = "\n".join(f"See [it]({name})." for name in names)
    path = named(typed, "src/größe/maß-é.py")
    bad = named(typed, "See [gone](übersicht-é.txt) and `src/größe/é.py`.")
    text = house(1) + f"\n## Appendix\n\n{good}\nIn `{path}`.\n"
    project.write("docs/adr/0001-use-queues.md", text + bad + "\n")
    last = text.count("\n") + 1
    assert linted(project) == [("ADR601", last), ("ADR602", last)]


@pytest.mark.parametrize(("disk", "typed"), FORMS)
def test_link_leads_to_the_record_in_site_graph_and_import(
    tmp_path: Path, disk: str, typed: str
) -> None:
    target = tmp_path / named(disk, "0002-größe.md")
    target.write_text(house(2))
    twin = tmp_path / "0002-a.md"
    twin.write_text(house(2))
    image = tmp_path / named(disk, "maß-é.png")
    image.write_bytes(b"png")
    link = f"[ADR-0002]({quote(named(typed, target.name))})"
    shown = f"![m]({named(typed, image.name)})"
    source = tmp_path / "0001-b.md"
    source.write_text(house(1) + f"- **Amends:** {link}\n\n## Appendix\n\n{shown}\n")
    records = [Record.read(path) for path in (source, twin, target)]
    graph = read_graph(records)
    assert [edge.target for edge in graph.leaving[graph.of(records[0]).key]] == [
        graph.of(records[2]).key
    ]
    pages = build_site(records, tmp_path)
    assert b"png" in pages.values()
    page = next(data for name, data in pages.items() if name.startswith("0001-b"))
    assert quote(named("NFC", f"{target.stem}.html")) in page.decode()
    moves = Moves({target: tmp_path / "0007-size.md"})
    assert moves.number_at(source, named(typed, target.name)) == 7


@pytest.mark.parametrize(("disk", "typed"), FORMS)
def test_name_as_it_is_written_comes_first(tmp_path: Path, disk: str, typed: str) -> None:
    other, own = tmp_path / named(disk, "é.md"), tmp_path / named(typed, "é.md")
    other.write_text("")
    assert existing(own) == other
    own.write_text("")
    assert existing(own) == own
    assert existing(tmp_path / ("é" * 300)) is None
    assert existing(tmp_path / "é\0") is None
    (tmp_path / named(disk, "ö")).symlink_to(tmp_path / "nowhere")
    assert existing(tmp_path / named(typed, "ö")) is None
