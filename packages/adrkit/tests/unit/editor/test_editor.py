from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from adrkit.editor import EditorProject, Remark, relocated
from adrkit.testing import GitProject, house


def remark(line: int, source: str, *, alone: bool = False) -> Remark:
    return Remark("X", "error", "m", line, 1, 1, source, "adr check", alone)


def test_remark_moves_with_its_line_to_the_nearest_and_is_lost_with_it() -> None:
    kept = relocated([remark(2, "b"), remark(3, "gone")], "a\n\n\nb\nc\nb\n")
    assert [(item.line, item.source) for item in kept] == [(4, "b")]


@settings(deadline=None)
@given(st.text(max_size=60), st.integers(0, 60))
def test_completion_and_citation_bear_any_text_and_offset(text: str, offset: int) -> None:
    project = EditorProject(Path(__file__).parent)
    for path in (Path("docs/adr/0001-x.md"), Path("x.py")):
        project.complete(path, text, min(offset, len(text)))
    assert project.record_cited_at(text, min(offset, len(text))) is None


def test_typing_judges_the_text_and_keeps_what_needs_the_project(project: GitProject) -> None:
    path = project.write("docs/adr/0001-use-queues.md", house(1) + "\nSee [it](gone.md).\n")
    editor = EditorProject(project.root)
    text = path.read_text()
    before = editor.remarks(path, text)
    assert {"ADR601", "ADR602"} <= {item.code for item in before}
    assert all(not item.alone for item in before if item.code == "ADR601")
    typed = text.replace("**Status:** Accepted", "**Status:** Agreed").replace(
        "See [it](gone.md).", ""
    )
    after = {item.code for item in editor.remarks_while_typing(path, typed, before)}
    assert "ADR205" in after
    assert "ADR602" in after  # its line still stands
    assert "ADR601" not in after  # its line is gone


def test_mending_leaves_every_other_byte(project: GitProject) -> None:
    text = house(1).replace("Accepted", "accepted").replace("\n", "\r\n")
    path = project.write("docs/adr/0001-use-queues.md", text)
    assert EditorProject(project.root).mended(path, text) == text.replace("accepted", "Accepted")


def test_readme_beside_the_records_is_none(project: GitProject) -> None:
    project.record(1, "use-queues")
    readme = project.write("docs/adr/README.md", "# Records\n")
    editor = EditorProject(project.root)
    assert not editor.is_record(readme)
    assert editor.is_record(project.records / "0002-not-saved-yet.md")
    assert not editor.is_record(project.root / "0003-elsewhere.md")
