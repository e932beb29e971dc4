from __future__ import annotations

from adrkit.config import load_config
from adrkit.git import Git
from adrkit.governance import governing
from adrkit.project_files import ProjectFiles
from adrkit.repository import RecordRepository
from adrkit.testing import GitProject, house


def links(project: GitProject, path: str) -> list[tuple[int | None, str, str]]:
    config = load_config(project.root)
    found = governing(
        ProjectFiles(project.root, Git.find(project.root)), RecordRepository.of(config).list(), path
    )
    return [(item.record.number, item.link.value, item.detail) for item in found]


def test_file_is_governed_by_what_cites_checks_and_is_cited(project: GitProject) -> None:
    body = house(1).replace("`src/app.py`", "`src/tasks/`, [notes](../notes.md#top), `src/*.sql`")
    block = "\n```adr-check\n[[regex]]\nfiles = 'src/**/*.py'\npattern = 'x'\n```\n"
    project.write("docs/adr/0001-a.md", body + block)
    project.write("docs/adr/0002-b.md", house(2, "B").replace("src/app.py", "src/tasks/run.py"))
    project.write("src/tasks/run.py", "# ADR-0002, ADR-0077\n")
    project.write("docs/notes.md", "")
    assert links(project, "src/tasks/run.py") == [
        (1, "cites", "src/tasks/"),
        (1, "checks", "regex: src/**/*.py match x"),
        (2, "cites", "src/tasks/run.py"),
        (2, "cited", "ADR-0002"),
    ]
    assert links(project, "docs/notes.md") == [(1, "cites", "../notes.md#top")]
    assert links(project, "src/gone.sql") == [(1, "cites", "src/*.sql")]
    assert links(project, "README.md") == []


def test_directory_is_governed_by_what_is_said_of_its_files(project: GitProject) -> None:
    project.record(1, "use-queues")  # names src/app.py
    project.write("src/other.py", "# ADR-0001\n")
    assert links(project, "src") == [
        (1, "cites", "src/app.py"),
        (1, "cited", "src/other.py: ADR-0001"),
    ]


def test_path_with_a_common_beginning_is_not_covered(project: GitProject) -> None:
    project.record(1, "use-queues")
    assert links(project, "src/app.pyi") == []
