from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from adrkit.checks import Result, make_context, run_checks
from adrkit.config import load_config
from adrkit.git import Git
from adrkit.record import Record
from adrkit.testing import GitProject, house

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)


@dataclass
class Checked:
    """A project whose ADR-0001 holds the given block."""

    project: GitProject
    commands: str = "refuse"

    def __call__(self, block: str, status: str = "Accepted") -> list[Result]:
        text = house(1, "Use Queues", status) + f"\n```adr-check\n{block}\n```\n"
        path = self.project.write("docs/adr/0001-use-queues.md", text)
        self.first_line = text.splitlines().index("```adr-check") + 2
        config = load_config(self.project.root)
        context = make_context(config, Git.find(config.root), now=NOW, commands=self.commands)
        return list(run_checks(context, [Record.read(path)]).results)

    def one(self, block: str, status: str = "Accepted") -> Result:
        results = self(block, status)
        assert len(results) == 1, results
        return results[0]

    def verdict(self, block: str) -> str:
        return self.one(block).verdict.value


@pytest.fixture
def check(project: GitProject) -> Checked:
    return Checked(project)


@pytest.fixture
def write(project: GitProject) -> Callable[[str, str], object]:
    return project.write
