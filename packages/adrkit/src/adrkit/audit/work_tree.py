"""The work tree against the commit it started from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from adrkit.audit.base import AuditBase
from adrkit.audit.findings import AuditFinding, AuditReport, finding
from adrkit.audit.trees import Pairing, Version, compare_versions, number_key
from adrkit.bounded import read_bounded
from adrkit.errors import UnreadableFile
from adrkit.git import Git
from adrkit.record import file_number
from adrkit.repository import RecordRepository, is_record_path


class RecordPlaces:
    """Which paths of a revision are records: those of the records directory, by name."""

    def __init__(self, repository: RecordRepository, git: Git) -> None:
        self.repository = repository
        self.prefix = git.relative(repository.directory)
        self._others = tuple(f"{git.relative(each)}/" for each in repository.others)

    def is_others(self, path: str) -> bool:
        """Whether ``path`` lies in another records directory of the project."""
        return path.startswith(self._others)

    def holds(self, path: str, folders: frozenset[str] | None = None) -> bool:
        """Whether ``path`` is a record's; ``folders`` are further records directories."""
        for folder in (self.prefix, *(folders or ())):
            inside = path if folder == "." else path.removeprefix(f"{folder}/")
            if (folder == "." or inside != path) and is_record_path(
                Path(path), exclude=self.repository.exclude, relative=inside
            ):
                return True
        return False


def audit_work_tree(repository: RecordRepository, git: Git, base: AuditBase) -> AuditReport:
    """Every decided record of ``base.commit`` against the file on disk, committed or not."""
    places = RecordPlaces(repository, git)
    new = records_on_disk(repository, git)
    old = records_at(git, base.commit, places, names=frozenset(v.name for v in new.values()))
    pairing = Pairing.of(old, new)
    findings: list[AuditFinding] = []
    renamed: set[str] = set()
    for before, after in pairing.pairs:
        if before.is_decided:
            findings += (finding(after, item) for item in compare_versions(before, after))
    for version in pairing.gone:
        if not version.is_decided:
            continue
        successor = pairing.renamed_to(version)
        if successor is None:
            findings.append(_gone(version, "record-deleted", f"{version.path} is gone"))
        else:
            renamed.add(successor.path)
            message = f"{version.path} became {successor.path}"
            findings.append(_gone(version, "record-renamed", message))
    findings += _reused_numbers(git, base.commit, places, old, new, pairing, renamed)
    decided = [version for version in old.values() if version.is_decided]
    return AuditReport(
        base.commit, base.name, tuple(findings), len(decided),
        tuple(v.path for v in old.values() if v.record is None or v.record.status_kind is None),
    )  # fmt: skip


def _gone(version: Version, rule: str, message: str) -> AuditFinding:
    return AuditFinding(rule, version.label, version.path, 1, message)


def records_at(
    git: Git, commit: str, places: RecordPlaces, *, names: frozenset[str] = frozenset()
) -> dict[str, Version]:
    """Records of a commit. ``names`` are file names that also count in other directories: the
    records directory may have moved since."""
    paths = [
        path
        for path in git.files_at(commit)
        if places.holds(path)
        or (
            PurePosixPath(path).name in names
            and is_record_path(Path(path))
            and not places.is_others(path)
        )
    ]
    contents = git.read(f"{commit}:{path}" for path in paths)
    found = {}
    for path in paths:
        data = contents[f"{commit}:{path}"]
        if data is not None:
            found[path] = Version(path, data, places.repository.reading)
    return found


def records_on_disk(repository: RecordRepository, git: Git) -> dict[str, Version]:
    if not repository.directory.is_dir():
        return {}
    found = {}
    for path in repository.paths:
        relative = git.relative(path)
        if path.is_symlink():  # what git keeps of a link is where it leads
            data = os.fsencode(path.readlink())
        elif path.is_file():
            try:
                data = read_bounded(path)
            except OSError as error:
                raise UnreadableFile(path, error.strerror or str(error)) from error
        else:
            continue
        found[relative] = Version(relative, data, repository.reading)
    return found


def _reused_numbers(
    git: Git,
    base: str,
    places: RecordPlaces,
    old: Mapping[str, Version],
    new: Mapping[str, Version],
    pairing: Pairing,
    renamed: set[str],
) -> Iterator[AuditFinding]:
    """Numbers of added records that another record has, or had before it was deleted."""
    gone = {version.path for version in pairing.gone}
    by_number: dict[tuple[int, str], list[Version]] = {}
    for version in (*old.values(), *new.values()):
        if key := number_key(version.path):
            by_number.setdefault(key, []).append(version)
    past: dict[tuple[int, str], str] | None = None
    for version in pairing.added:
        key = number_key(version.path)
        if key is None or version.path in renamed:
            continue
        others = [item for item in by_number[key] if item.name != version.name]
        kept = [item for item in others if item.path not in gone or item.is_decided]
        if kept:
            message = f"number {key[0]:04d}{key[1]} is that of {kept[0].path}"
            yield _gone(version, "number-reused", message)
        elif not others:
            past = past if past is not None else _past_numbers(git, base, places)
            if key in past and PurePosixPath(past[key]).name != version.name:
                message = f"number {key[0]:04d}{key[1]} was that of {past[key]}, deleted since"
                yield _gone(version, "number-reused", message)


def _past_numbers(git: Git, base: str, places: RecordPlaces) -> dict[tuple[int, str], str]:
    found: dict[tuple[int, str], str] = {}
    for change in git.changes(places.prefix, revisions=(base,), renames=False):
        if change.status == "D" and places.holds(change.path):
            named = file_number(Path(PurePosixPath(change.path).name))
            if named:
                found.setdefault(named, change.path)
    return found
