from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.testing import GitProject, house


def adr(project: GitProject, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["-C", str(project.root), *arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.exit_code, result.stdout


def decide(project: GitProject, number: int, *blocks: str, status: str = "Accepted") -> None:
    text = house(number, f"Decision {number}", status).replace("`src/app.py`", "none")
    fences = "".join(f"\n```adr-check\n{block}\n```\n" for block in blocks)
    project.write(f"docs/adr/{number:04d}-decision-{number}.md", text + fences)


def test_coverage_counts_governed_files_by_area(project: GitProject) -> None:
    project.write("docs/adr/0001-a.md", house(1))
    project.write("docs/adr/0002-b.md", house(2, status="Rejected").replace("app", "other"))
    project.write("src/app.py", "")
    project.write("src/other.py", "")
    project.write("src/deep/cited.py", "# ADR-0001\n")
    project.write("src/deep/free.py", "")
    project.write("top.py", "")
    code, out = adr(project, "coverage", "--depth", "2", "--json")
    assert code == 0
    found = json.loads(out)
    assert [(a["path"], a["governed"], a["files"]) for a in found["areas"]] == [
        (".", 0, 1), ("src", 1, 2), ("src/deep", 1, 2),
    ]  # fmt: skip
    assert found["areas"][1]["records"] == ["ADR-0001"]
    assert (found["governed"], found["files"]) == (2, 5)
    assert " 50.0%     1 of    2  src/deep  ADR-0001" in adr(project, "coverage")[1]
    one = json.loads(adr(project, "coverage", "--depth", "0", "--json")[1])["areas"]
    assert [(a["path"], a["files"]) for a in one] == [(".", 5)]
    limited = ("coverage", "--only", "src/**", "--exclude", "src/deep/free.py", "--json")
    assert json.loads(adr(project, *limited)[1])["files"] == 3
    assert adr(project, "coverage", "--at-least", "40")[0] == 0
    assert adr(project, "coverage", "--at-least", "41")[0] == 1


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ('[[dependency]]\npackage = "celery"',
         '[[dependency]]\npackage = "celery"\nstate = "absent"',
         "one wants it, the other forbids it"),
        ('[[dependency]]\npackage = "celery"\nversion = ">=5,<6"',
         '[[dependency]]\npackage = "Celery"\nversion = ">=6"', "no version in common"),
        ('[[setting]]\nfile = "s.py"\nattribute = "N"\noperator = "=="\nvalue = 3',
         '[[setting]]\nfile = "s.py"\nattribute = "N"\noperator = "=="\nvalue = 4',
         "one wants 3, the other 4"),
        ('[[config]]\nfile = "c.yaml"\npointer = "/a"\noperator = "=="\nvalue = "x"',
         '[[config]]\nfile = "c.yaml"\npointer = "/a"\noperator = "=="\nvalue = "y"',
         "one wants 'x', the other 'y'"),
    ],
)  # fmt: skip
def test_checks_that_cannot_both_hold_contradict(
    project: GitProject, first: str, second: str, said: str
) -> None:
    decide(project, 1, first)
    decide(project, 2, second)
    code, out = adr(project, "conflicts", "--contradictions")
    assert code == 1
    assert "contradiction: ADR-0001 and ADR-0002" in out
    assert said in out
    decide(project, 2, second, status="Rejected")
    assert adr(project, "conflicts")[0] == 0


@pytest.mark.parametrize(
    "second",
    [
        '[[dependency]]\npackage = "celery"\nversion = ">=5.4"',
        '[[dependency]]\npackage = "redis"\nstate = "absent"',
        '[[dependency]]\npackage = "celery"\nstate = "absent"\nscope = "extra:slim"',
        '[[dependency]]\npackage = "celery"\nstate = "absent"\nfiles = ["other/pyproject.toml"]',
    ],
)
def test_checks_that_can_both_hold_do_not(project: GitProject, second: str) -> None:
    decide(project, 1, '[[dependency]]\npackage = "celery"\nversion = ">=5,<6"\nscope = "project"')
    decide(project, 2, second)
    assert adr(project, "conflicts")[0] == 0


def test_records_about_one_file_that_do_not_know_each_other_overlap(project: GitProject) -> None:
    project.write("src/app.py", "")
    project.write("docs/adr/0001-a.md", house(1))
    project.write("docs/adr/0002-b.md", house(2))
    code, out = adr(project, "conflicts", "--json")
    assert code == 0
    assert json.loads(out) == [
        {
            "records": ["ADR-0001", "ADR-0002"], "subject": "src/app.py", "contradicts": False,
            "message": "both speak of it, and neither mentions the other",
        }
    ]  # fmt: skip
    project.write("docs/adr/0002-b.md", house(2) + "\nBuilds on ADR-0001.\n")
    assert json.loads(adr(project, "conflicts", "--json")[1]) == []
