"""The two commits of a review, and what one records directory is in each."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from adrkit.checks import CitationRun, check_citations, make_context, run_checks
from adrkit.checks.python_module import PythonModule
from adrkit.checks.run import CheckRun
from adrkit.config import directories_in_view
from adrkit.git import Git
from adrkit.review.diff import read_diff
from adrkit.review.snapshot import Snapshot, Tree


class Commit:
    """Its files are written when something asks for them."""

    def __init__(self, git: Git, commit: str, folder: Path) -> None:
        self.git, self.id, self._folder = git, commit, folder

    @cached_property
    def tree(self) -> Tree:
        return Tree(self.git, self.id, self._folder)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        return self.git.files_at(self.id)

    def read(self, path: str) -> bytes | None:
        name = f"{self.id}:{path}"
        return self.git.read([name])[name]


class Range:
    """What is reviewed: ``base`` and ``head``, and what is different in them.

    ``inside`` is where the review was started, relative to the top level.
    """

    def __init__(
        self,
        git: Git,
        inside: str,
        base: str,
        head: str,
        folder: Path,
        parsed: dict[tuple[str, bytes], PythonModule],
    ) -> None:
        self.git, self.inside, self.parsed = git, inside, parsed
        self.base, self.head = (
            Commit(git, base, folder / "base"),
            Commit(git, head, folder / "head"),
        )
        self.files = read_diff(git, base, head)
        self.by_path = {file.path: file for file in self.files}
        self.renamed = {f.old_path: f.path for f in self.files if f.status == "R"}

    def directories(self) -> tuple[str | None, ...]:
        """The records directories that the head has in view, relative to the top level; None is
        the one of a project that does not name several. Raises ConfigError."""
        tree = self.head.tree
        found = directories_in_view(tree.start(self.inside))
        return tuple(one.relative_to(tree.top).as_posix() for one in found) or (None,)


class Side:
    """One records directory in one of the commits."""

    def __init__(self, between: Range, commit: Commit, directory: str | None) -> None:
        self._range, self._commit, self._directory = between, commit, directory

    @cached_property
    def snapshot(self) -> Snapshot:
        return Snapshot(self._commit.tree, self._range.inside, self._directory)

    @cached_property
    def checks(self) -> CheckRun:
        found, parsed = self.snapshot, self._range.parsed
        context = make_context(found.config, found.git, commands="skip", parsed=parsed)
        return run_checks(context, found.records)

    @cached_property
    def citations(self) -> CitationRun:
        found = self.snapshot
        return check_citations(found.config, found.files, found.records)
