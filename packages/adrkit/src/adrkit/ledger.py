"""Which record numbers are or were taken, so that none is ever given twice.

A number is taken by a file name with that number in the records directory: in the work tree, on
any local or remote branch, or anywhere in the history of all refs, deleted and renamed records
included. One ``git log --all --name-status`` over the records directory answers for the history:
without rename detection a rename shows as a deletion and an addition, so every name a record
ever had appears.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from adrkit.errors import MissingObjects
from adrkit.git import Change, Git, Head, Ref
from adrkit.record import file_number
from adrkit.remote import RemoteHead
from adrkit.repository import RecordRepository, is_record_path

WORK_TREE = "work tree"


@dataclass(frozen=True, slots=True)
class Use:
    """A number at a path. ``where`` is WORK_TREE, the commit that last touched the path, or the
    branch or pull request of a remote."""

    number: int
    path: str
    where: str

    @property
    def description(self) -> str:
        commit = re.fullmatch(r"[0-9a-f]{40,64}", self.where)
        place = f"commit {self.where[:10]}" if commit else self.where
        return f"{self.path} in {place}"


@dataclass(frozen=True, slots=True)
class Collision:
    """Two different records with one number: ``path`` on ``branch``, ``other`` elsewhere.

    ``other_branch`` is None when both are in the same tree.
    """

    number: int
    path: str
    branch: str
    other: str
    other_branch: str | None


class NumberLedger:
    """Numbers of one records directory. ``git`` None: the work tree alone is looked at.

    ``heads`` are branches and pull requests of a remote (``adrkit.remote``), to count as well.
    """

    def __init__(
        self, repository: RecordRepository, git: Git | None, heads: Sequence[RemoteHead] = ()
    ) -> None:
        self.repository = repository
        self.git = git
        self.heads = tuple(heads)

    @property
    def caveat(self) -> str | None:
        """Why the ledger may not know every number, None when it does."""
        if self.git is None:
            return "no git repository: only the files of the work tree were looked at"
        if self._prefix is None:
            return "the records directory is outside the git repository: only its files were seen"
        if self.git.is_shallow:
            return (
                "shallow clone: numbers of deleted records may be missing (git fetch --unshallow)"
            )
        if self._changes is None:
            return (
                "partial clone: numbers on other branches and of deleted records may be missing "
                "(git fetch --refetch --no-filter)"
            )
        return None

    @property
    def is_whole(self) -> bool:
        """Whether a number that is not in ``uses`` was never given, as far as git can know."""
        return self.git is None or not (self.git.is_shallow or self._changes is None)

    @cached_property
    def uses(self) -> Mapping[int, tuple[Use, ...]]:
        """Every number ever taken and the names it was taken by, each name once."""
        found: dict[int, dict[str, Use]] = {}
        for use in (*self._work_tree(), *self._history(), *self._remote()):
            found.setdefault(use.number, {}).setdefault(use.path, use)
        return {number: tuple(by_path.values()) for number, by_path in sorted(found.items())}

    def next(self) -> int:
        """One more than the highest number ever taken; 1 for the first record."""
        return max(self.uses, default=0) + 1

    def is_taken(self, number: int) -> bool:
        return number in self.uses

    @property
    def prefix(self) -> str | None:
        """Records directory relative to the top level, None outside of the git repository."""
        return self._prefix

    @cached_property
    def _prefix(self) -> str | None:
        """Records directory relative to the top level, "." for the top itself."""
        if self.git is None:
            return None
        try:
            return self.git.relative(self.repository.directory)
        except ValueError:
            return None

    def _work_tree(self) -> Iterator[Use]:
        if not self.repository.directory.is_dir():
            return
        for path in self.repository.paths:
            named = file_number(path)
            number = named[0] if named else None
            if number is None:
                continue
            yield Use(number, self._shown(path), WORK_TREE)
        for record in self.repository.list():
            if record.file_number is None and record.number is not None and record.path:
                yield Use(record.number, record.path.as_posix(), WORK_TREE)

    def _history(self) -> Iterator[Use]:
        for change in self._changes or ():
            number = self._number_of(change.path)
            if number is not None:
                yield Use(number, change.path, change.commit)

    @cached_property
    def _changes(self) -> tuple[Change, ...] | None:
        """Of the records directory in all of git's history; None when a clone lacks them."""
        if self.git is None or self._prefix is None:
            return ()
        try:
            return tuple(self.git.changes(self._prefix, renames=False))
        except MissingObjects:
            return None

    def _remote(self) -> Iterator[Use]:
        for head in self.heads:
            for path in head.paths:
                number = self._number_of(path)
                if number is not None:
                    yield Use(number, path, head.name)

    def _number_of(self, path: str) -> int | None:
        inside = path if self._prefix in (None, ".") else path[len(str(self._prefix)) + 1 :]
        if not is_record_path(Path(path), exclude=self.repository.exclude, relative=inside):
            return None
        named = file_number(Path(PurePosixPath(path).name))
        return named[0] if named else None

    # -- collisions --------------------------------------------------------------------------

    def collisions(self) -> tuple[Collision, ...]:
        """Numbers taken twice: within the work tree, or here and on another branch.

        A record renamed on one side is no collision: two names collide when a merge would leave
        both of them there.
        """
        found = list(self._collisions_here())
        if self.git is None or self._prefix is None:
            return tuple(found)
        head = self.git.head()
        here = self._by_number(
            [use.path for uses in self.uses.values() for use in uses if use.where == WORK_TREE]
        )
        seen: set[tuple[int, str]] = set()
        for ref in _other_branches(self.git, head):
            try:
                there_paths = self.git.files_at(ref.commit, self._prefix)
            except MissingObjects:  # said by ``caveat``
                continue
            there = self._by_number(there_paths)
            suspects = [n for n in here if set(there.get(n, ())) - set(here[n])]
            if not suspects:
                continue
            base = self.git.merge_base("HEAD", ref.commit) if head.commit else None
            try:
                base_paths = set(self.git.files_at(base, self._prefix)) if base else set()
            except MissingObjects:
                continue
            for number in suspects:
                for other in sorted(set(there[number]) - set(here[number])):
                    if other in base_paths or (number, other) in seen:
                        continue  # we renamed or deleted it since
                    mine = [p for p in here[number] if p not in base_paths or p in there_paths]
                    if mine:
                        seen.add((number, other))
                        found.append(
                            Collision(number, mine[0], head.branch or "HEAD", other, ref.short)
                        )
        return tuple(found)

    def _collisions_here(self) -> Iterator[Collision]:
        branch = (self.git.head().branch or "HEAD") if self.git else WORK_TREE
        for number, records in self.repository.duplicates().items():
            paths = [record.path for record in records if record.path]
            for other in paths[1:]:
                yield Collision(number, self._shown(paths[0]), branch, self._shown(other), None)

    def _shown(self, path: Path) -> str:
        if self.git is not None and self._prefix is not None:
            # As git names it: the link itself, wherever it leads.
            inside = path.relative_to(self.repository.directory).as_posix()
            return inside if self._prefix == "." else f"{self._prefix}/{inside}"
        return path.as_posix()

    def _by_number(self, paths: Sequence[str]) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for path in paths:
            number = self._number_of(path)
            if number is not None:
                found.setdefault(number, []).append(path)
        return found


def _other_branches(git: Git, head: Head) -> Iterator[Ref]:
    """Branches other than the current one, each commit once."""
    seen = {head.commit}
    for ref in git.refs():
        if ref.name != f"refs/heads/{head.branch}" and ref.commit not in seen:
            seen.add(ref.commit)
            yield ref
