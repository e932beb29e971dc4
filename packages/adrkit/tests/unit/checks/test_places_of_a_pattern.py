"""What ``regex`` says of where it found its pattern."""

from __future__ import annotations

import pytest

from adrkit.testing import GitProject

from .conftest import Checked


@pytest.mark.parametrize(
    ("rest", "verdict", "said"),
    [
        ("expect = 'no-match'", "violated", "src/b.sql:2 match `SKIP`: 'SKIP'"),
        ("expect = 'match'", "pass", "src/b.sql:2 matches `SKIP`"),
        ("expect = 'each'", "violated", "src/a.sql does not match `SKIP` (1 of 2 files)"),
    ],
)
def test_pattern_in_one_of_two_files_is_told_by_its_place(
    check: Checked, project: GitProject, rest: str, verdict: str, said: str
) -> None:
    project.write("src/a.sql", "select 1\n")
    project.write("src/b.sql", "select 1\n  select 2 SKIP\n")
    result = check.one(f"[[regex]]\nfiles = 'src/*'\npattern = 'SKIP'\n{rest}")
    assert (result.verdict.value, result.message) == (verdict, said)


def test_pattern_in_several_files_is_told_by_the_first_and_how_many_more(
    check: Checked, project: GitProject
) -> None:
    for name in ("a", "b", "c"):
        project.write(f"src/{name}.sql", "select 2 SKIP\n")
    block = "[[regex]]\nfiles = 'src/*'\npattern = 'SKIP'\nexpect = 'no-match'"
    assert check.one(block).message == ("src/a.sql:1 and 2 more files match `SKIP`: 'SKIP'")
