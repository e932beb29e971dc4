from __future__ import annotations

import pytest

from adrkit.checks import Level, Result, check_citations
from adrkit.config import load_config
from adrkit.errors import ConfigError
from adrkit.git import Git
from adrkit.project_files import ProjectFiles
from adrkit.repository import RecordRepository
from adrkit.testing import GitProject, house


@pytest.fixture
def cited(project: GitProject) -> GitProject:
    for number, status in enumerate(
        ("Accepted", "Proposed", "Superseded by ADR-0004", "Superseded by ADR-0001", "Rejected"), 1
    ):
        project.write(f"docs/adr/{number:04d}-x.md", house(number, f"Title {number}", status))
    return project


def results(project: GitProject) -> list[Result]:
    config = load_config(project.root)
    records = RecordRepository.of(config).list()
    files = ProjectFiles(project.root, Git.find(project.root))
    return list(check_citations(config, files, records).results)


def test_citations_must_exist_and_be_in_force(cited: GitProject) -> None:
    cited.write(
        "src/app.py",
        "# ADR-0001 and ADR-0002 hold\n# see ADR-0003\n# ADR-99\n# ADR-0005\n"
        "# ADR-0004: old  adr-check: ignore\n",
    )
    found = [(r.line, r.verdict.value, r.level.value, r.message) for r in results(cited)]
    assert found == [
        (
            2, "violated", "error",
            "ADR-0003 is cited, but is Superseded; cite ADR-0001 (Title 1) instead",
        ),
        (3, "missing", "error", "ADR-99 is cited, but there is no such record"),
        (4, "violated", "warning", "ADR-0005 is cited, but is Rejected"),
    ]  # fmt: skip


def test_what_only_looks_like_a_citation_is_none(cited: GitProject) -> None:
    cited.write(
        "a.py", "adr_99 QUADR-0099 xADR-0099 /ADR-0099 ADR-0099-title.md ADR-1234567 ADR-0099a\n"
    )
    cited.write("image.bin", "\0ADR-0099")
    assert results(cited) == []


def test_records_ignored_files_and_links_are_not_looked_at(cited: GitProject) -> None:
    cited.write(".gitignore", "built/\n")
    cited.write("built/x.txt", "ADR-0099")
    cited.write("docs/adr/0006-y.md", house(6) + "ADR-0099")
    (cited.root / "link.py").symlink_to(cited.root / "built" / "x.txt")
    assert results(cited) == []


def test_files_that_may_cite_are_configurable(cited: GitProject) -> None:
    cited.write("src/a.py", "ADR-0099")
    cited.write("tests/a.py", "ADR-0099")
    cited.write("adrkit.toml", '[check]\ncitations = ["**/*.py"]\nexclude-citations = ["tests"]\n')
    assert [r.path for r in results(cited)] == ["src/a.py"]
    for wrong in ('citations = "x"', 'exclude-citations = ["../x"]', "frob = 1"):
        cited.write("adrkit.toml", f"[check]\n{wrong}\n")
        with pytest.raises(ConfigError):
            results(cited)


def test_citation_of_a_record_without_an_heir_in_force_names_none(cited: GitProject) -> None:
    cited.write("docs/adr/0007-a.md", house(7, "A", "Superseded by ADR-0008"))
    cited.write("docs/adr/0008-b.md", house(8, "B", "Superseded by ADR-0007"))
    cited.write("a.py", "ADR-0007")
    (found,) = results(cited)
    assert found.level is Level.ERROR
    assert found.message == "ADR-0007 is cited, but is Superseded"
