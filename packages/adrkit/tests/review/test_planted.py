"""A small sample of what `benchmarks/review.py` plants by the hundred, in this very project."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adrkit.git import Git
from adrkit.review import review
from adrkit.testing import GitProject

REPOSITORY = Path(__file__).parents[4]
BENCHMARKS = REPOSITORY / "benchmarks"

sys.path.insert(0, str(BENCHMARKS))
review_planting: Any = pytest.importorskip("review_planting", reason="only in the repository")

PARSED: dict[Any, Any] = {}  # what is the same in the commits of all tests here


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> GitProject:
    """This repository's tracked files, committed in a repository of their own."""
    project = GitProject(tmp_path_factory.mktemp("copy"))
    for name in Git(REPOSITORY).tracked():
        source, target = REPOSITORY / name, project.root / name
        if source.is_file() and source.stat().st_size < 1_000_000:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    project.commit("as it is")
    return project


def plant(project: GitProject, change: Callable[..., Any], seed: int) -> tuple[Any, Any]:
    project("checkout", "-q", "-f", "main")
    project("clean", "-fdq")
    expected = change(review_planting.Project(project.root, seed, PARSED))
    project("checkout", "-q", "-B", f"seed-{seed}")
    project.commit("planted")
    found = review(Git(project.root), project.root, "main", "HEAD", parsed=PARSED)
    project("checkout", "-q", "-f", "main")
    return expected, found


@pytest.mark.parametrize("at", range(len(review_planting.VIOLATIONS)))
def test_planted_violation_is_found(copy: GitProject, at: int) -> None:
    change = review_planting.VIOLATIONS[at]
    expected, found = plant(copy, change, at)
    if expected is None:
        # No record has such a check, or none whose file a copy without history still knows.
        assert change.__name__ in {"changed_configuration", "removed_path"}
        return
    assert any(
        f.rule == expected.rule and expected.number in (None, f.number) for f in found.findings
    ), (expected, [f.message for f in found.findings])


@pytest.mark.parametrize("at", range(len(review_planting.HARMLESS)))
def test_harmless_change_raises_no_alarm(copy: GitProject, at: int) -> None:
    done, found = plant(copy, review_planting.HARMLESS[at], 100 + at)
    assert done is not None
    loud = [f.message for f in found.findings if f.level != "note"]
    assert loud == [], (done, os.linesep.join(loud))
