"""The whole first-parent history of a branch: each decided record against its decided text.

A merge counts as one step, so what a branch did to its own records before they were merged is its
affair. A change that a later commit took back, or explained by an amendment, is not reported:
what is reported can be mended by a new commit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from adrkit.audit.findings import AuditFinding, AuditReport, finding
from adrkit.audit.trees import Pairing, Version, compare_versions, number_key
from adrkit.audit.work_tree import RecordPlaces, records_at
from adrkit.git import Git
from adrkit.repository import RecordRepository, is_record_path


@dataclass(frozen=True, slots=True)
class _Step:
    """What one commit did to Markdown files: path, old blob, new blob ("" for none)."""

    commit: str
    changes: tuple[tuple[str, str, str], ...]


@dataclass
class _Life:
    """A file's life. ``decided`` is the version it is held to, None while it is free."""

    path: str
    added: int  # index of the step, -1 for the start
    latest: Version
    decided: Version | None = None
    pending: tuple[AuditFinding, ...] = ()
    removed: int | None = None
    renamed_from: str | None = None


def audit_history(
    repository: RecordRepository,
    git: Git,
    tip: str,
    *,
    since: str | None = None,
    on_disk: Mapping[str, Version] | None = None,
) -> AuditReport:
    """Records as they stand at ``since`` are the start. ``on_disk`` are the files of today: what
    is mended there is not reported, though it waits to be committed.

    Raises UnknownRevision, or ShallowClone when neither the beginning nor ``since`` is there.
    """
    if since is None:
        git.require_history()
    commit = git.resolve(tip)
    places = RecordPlaces(repository, git)
    steps = list(_steps(git, commit, git.resolve(since) if since else None))
    folders = _former_folders(places, steps)
    walk = _Walk(git, places, folders)
    if since:
        walk.start(records_at(git, git.resolve(since), places))
    walk.read_all(steps)
    for index, step in enumerate(steps):
        walk.take(index, step)
    walk.mend(on_disk or {})
    lives = [life for life in walk.lives if life.decided is not None]
    return AuditReport(
        commit, tip, tuple(walk.findings()), len(lives), commits=walk.commits, is_history=True
    )


def _steps(git: Git, tip: str, since: str | None) -> Iterator[_Step]:
    """Commits that touch Markdown, oldest first."""
    output = git.run(
        "-c", "log.showRoot=true", "log", "-z", "--first-parent", "-m", "--reverse", "--raw",
        "--no-abbrev", "--no-renames", "--format=%x01%H", tip, *([f"^{since}"] if since else []),
        "--", "*.md", "*.markdown", "*.MD",
    )  # fmt: skip
    commit = ""
    changes: list[tuple[str, str, str]] = []
    fields = iter(output.split(b"\0"))
    for raw in fields:
        entry = raw.lstrip(b"\n")
        if entry.startswith(b"\x01"):
            if changes:
                yield _Step(commit, tuple(changes))
            commit, changes = entry[1:].decode(), []
        elif entry.startswith(b":"):
            _, new_mode, old, new, _ = entry.decode().split(" ")
            path = os.fsdecode(next(fields))
            file = new_mode in ("100644", "100755", "000000")
            if file:
                changes.append((path, old.strip("0") and old, new.strip("0") and new))
    if changes:
        yield _Step(commit, tuple(changes))


def _former_folders(places: RecordPlaces, steps: Sequence[_Step]) -> frozenset[str]:
    """Directories that the records were in before they were moved, found from the end."""
    known = {places.prefix}
    for step in reversed(steps):
        added = {PurePosixPath(p).name for p, old, _ in step.changes if not old and _in(p, known)}
        for path, _, new in step.changes:
            name = PurePosixPath(path).name
            moved = not new and name in added and is_record_path(Path(path))
            if moved and not _in(path, known) and not places.is_others(path):
                known.add(PurePosixPath(path).parent.as_posix())
    return frozenset(known - {places.prefix})


def _in(path: str, folders: set[str]) -> bool:
    return any(folder == "." or path.startswith(f"{folder}/") for folder in folders)


class _Walk:
    def __init__(self, git: Git, places: RecordPlaces, folders: frozenset[str]) -> None:
        self.git = git
        self.places = places
        self.folders = folders
        self.lives: list[_Life] = []
        self.commits = 0
        self._current: dict[str, _Life] = {}
        self._versions: dict[tuple[str, str], Version] = {}
        self._blobs: dict[str, bytes | None] = {}

    def start(self, versions: dict[str, Version]) -> None:
        for path, version in versions.items():
            self._born(path, version, -1)

    def read_all(self, steps: Sequence[_Step]) -> None:
        wanted = {
            blob
            for step in steps
            for path, *blobs in step.changes
            if self.places.holds(path, self.folders)
            for blob in blobs
            if blob
        }
        self._blobs = self.git.read(wanted)

    def take(self, index: int, step: _Step) -> None:
        changes = [item for item in step.changes if self.places.holds(item[0], self.folders)]
        if not changes:
            return
        self.commits += 1
        old = {path: self._current[path].latest for path, _, _ in changes if path in self._current}
        new = {path: self._version(path, blob) for path, _, blob in changes if blob}
        pairing = Pairing.of(old, new)
        for before, after in pairing.pairs:
            life = self._current.pop(before.path)
            life.path = after.path
            self._current[after.path] = life
            self._changed(life, after, step.commit)
        for version in pairing.added:
            self._born(version.path, version, index)
        for version in pairing.gone:
            self._removed(self._current.pop(version.path), pairing, index, step.commit)

    def _version(self, path: str, blob: str) -> Version:
        key = (path, blob)
        if key not in self._versions:
            self._versions[key] = Version(
                path, self._blobs.get(blob) or b"", self.places.repository.reading
            )
        return self._versions[key]

    def _born(self, path: str, version: Version, index: int) -> None:
        earlier = next(
            (
                x
                for x in reversed(self.lives)
                if x.removed is not None and x.latest.name == version.name
            ),
            None,
        )
        if earlier is not None:  # restored: its life goes on
            earlier.path, earlier.removed, earlier.pending = path, None, ()
            self._current[path] = earlier
            self._changed(earlier, version, "")
            return
        life = _Life(path, index, version, version if version.is_decided else None)
        self.lives.append(life)
        self._current[path] = life

    def _changed(self, life: _Life, version: Version, commit: str) -> None:
        life.latest = version
        if life.decided is None:
            life.decided = version if version.is_decided else None
            return
        found = compare_versions(life.decided, version)
        if found:
            first = life.pending[0].commit if life.pending else commit
            life.pending = tuple(finding(version, item, first) for item in found)
        else:
            life.pending = ()
            life.decided = version

    def mend(self, on_disk: Mapping[str, Version]) -> None:
        for path, life in self._current.items():
            version = on_disk.get(path)
            if life.pending and version is not None and version.data != life.latest.data:
                self._changed(life, version, life.pending[0].commit or "")

    def _removed(self, life: _Life, pairing: Pairing, index: int, commit: str) -> None:
        life.removed = index
        if life.decided is None:
            return
        if any(life.renamed_from == other.path for other in self._current.values()):
            return  # it was a decided record under a wrong name, and has its old name again
        successor = pairing.renamed_to(life.latest)
        rule, message = "record-deleted", f"{life.path} was deleted"
        if successor is not None:
            rule, message = "record-renamed", f"{life.path} became {successor.path}"
            self._current[successor.path].renamed_from = life.path
        life.pending = (AuditFinding(rule, life.latest.label, life.path, 1, message, commit),)

    def findings(self) -> Iterator[AuditFinding]:
        for life in self.lives:
            yield from life.pending
        yield from self._reused()

    def _reused(self) -> Iterator[AuditFinding]:
        by_number: dict[tuple[int, str], list[_Life]] = {}
        for life in self.lives:
            if key := number_key(life.path):
                by_number.setdefault(key, []).append(life)
        for key, lives in by_number.items():
            for life in lives:
                if life.removed is not None or life.renamed_from is not None:
                    continue
                earlier = next((x for x in lives if self._came_first(x, life)), None)
                if earlier is not None:
                    message = f"number {key[0]:04d}{key[1]} was that of {earlier.path}"
                    yield AuditFinding(
                        "number-reused", life.latest.label, life.path, 1, message, None
                    )

    def _came_first(self, other: _Life, life: _Life) -> bool:
        """Whether ``other`` had the number before; an undecided record that was removed in the
        same step was renamed, one that was removed later gave way."""
        if other is life or (other.added, other.path) >= (life.added, life.path):
            return False
        return other.removed is None or other.removed < life.added
