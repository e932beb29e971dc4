"""Every error adrkit raises on purpose, in one tree.

An error carries its data as attributes and writes its own message; ``remedy`` says what to do
about it. Only ``adrkit.cli`` turns errors into exit codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class AdrkitError(Exception):
    """Root of the tree. ``str(error)`` is the problem, ``error.remedy`` the way out."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


# --- documents ------------------------------------------------------------------------------


class DocumentError(AdrkitError):
    """A file that cannot be read as a Markdown document."""


class NotUtf8(DocumentError):
    def __init__(self, path: Path | None, offset: int, byte: int) -> None:
        self.path, self.offset, self.byte = path, offset, byte
        super().__init__(
            f"{path or 'document'} is not UTF-8: byte 0x{byte:02x} at offset {offset}",
            remedy="convert the file first, for example: iconv -f WINDOWS-1252 -t UTF-8",
        )


class UnreadableFile(DocumentError):
    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"cannot read {path}: {reason}", remedy="check the path and permissions")


class OverlappingEdits(DocumentError):
    """Two edits of one document touch the same characters: a defect of the caller."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end
        super().__init__(
            f"edits overlap or leave the document between characters {start} and {end}",
            remedy="apply one edit, parse again, then apply the other",
        )


class EditNotPossible(DocumentError):
    """The record lacks the place an edit needs, for example a status line."""

    def __init__(self, path: Path | None, missing: str, remedy: str) -> None:
        self.path, self.missing = path, missing
        super().__init__(f"{path or 'document'} has no {missing}", remedy=remedy)


# --- configuration --------------------------------------------------------------------------


class ConfigError(AdrkitError):
    def __init__(self, path: Path, problem: str, *, remedy: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}", remedy=remedy)


class TemplateError(AdrkitError):
    def __init__(self, template: str, problem: str, *, line: int | None = None) -> None:
        self.template, self.problem, self.line = template, problem, line
        where = f"{template}:{line}" if line else template
        super().__init__(
            f"template {where}: {problem}",
            remedy="`adr template show` prints the house template and its variables",
        )


# --- records --------------------------------------------------------------------------------


class RecordError(AdrkitError):
    """A set of records that cannot answer the question."""


class RecordsDirectoryMissing(RecordError):
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        super().__init__(
            f"no records directory at {directory}",
            remedy="run `adr init`, or name the directory with --dir",
        )


class SeveralDirectories(RecordError):
    """A command that works on one records directory, where the project has several."""

    def __init__(self, directories: Sequence[Path], root: Path) -> None:
        self.directories = tuple(directories)
        names = ", ".join(
            path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
            for path in directories
        )
        super().__init__(
            f"the project has {len(directories)} records directories: {names}",
            remedy="stand in the part that is meant (-C PATH), or name one with --dir",
        )


class NoRecords(RecordError):
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        super().__init__(
            f"{directory} holds no records",
            remedy='write one with `adr new "Title"`, or name another directory with --dir',
        )


class RecordNotFound(RecordError):
    def __init__(self, wanted: str, directory: Path) -> None:
        self.wanted, self.directory = wanted, directory
        super().__init__(
            f"no record {wanted} in {directory}", remedy="`adr list` shows the records there are"
        )


class AmbiguousNumber(RecordError):
    def __init__(self, number: int, paths: Sequence[Path]) -> None:
        self.number, self.paths = number, tuple(paths)
        names = ", ".join(str(path) for path in paths)
        super().__init__(
            f"ADR-{number:04d} is the number of {len(paths)} records: {names}",
            remedy="give one of them a new number: `adr renumber PATH`, or name the path",
        )


class RecordExists(RecordError):
    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path} exists already", remedy="choose another title or number")


class NumberTaken(RecordError):
    def __init__(self, number: int, where: str) -> None:
        self.number, self.where = number, where
        super().__init__(
            f"number {number:04d} is or was taken ({where}); numbers are never reused",
            remedy="leave the number out to take the next free one",
        )


class NumberMissing(RecordError):
    def __init__(self, path: Path | None) -> None:
        self.path = path
        super().__init__(
            f"{path or 'record'} has no number in its file name or title",
            remedy="give it one: `adr renumber PATH`",
        )


class InvalidTitle(RecordError):
    def __init__(self, title: str, problem: str) -> None:
        self.title, self.problem = title, problem
        super().__init__(
            f"title {title!r}: {problem}",
            remedy='give a short title on one line, for example "Use PostgreSQL for Orders"',
        )


class InvalidInput(AdrkitError):
    """A value given on the command line or to a function that has no meaning there."""

    def __init__(self, what: str, value: str, *, remedy: str) -> None:
        self.what, self.value = what, value
        super().__init__(f"{what} {value!r} is not valid", remedy=remedy)


# --- life cycle -----------------------------------------------------------------------------


class LifecycleError(AdrkitError):
    """A move that the life cycle of records does not allow."""


class IllegalMove(LifecycleError):
    def __init__(self, record: str, current: str, wanted: str, legal: Sequence[str]) -> None:
        self.record, self.current, self.wanted = record, current, wanted
        self.legal = tuple(legal)
        options = " or ".join(legal) if legal else "nothing: the status is final"
        super().__init__(
            f"{record} is {current} and cannot become {wanted}",
            remedy=f"from {current} it may become {options}; write a new record instead",
        )


class UnknownStatus(LifecycleError):
    def __init__(self, record: str, raw: str | None) -> None:
        self.record, self.raw = record, raw
        shown = f"status {raw!r}, which is not in the vocabulary" if raw else "no status"
        super().__init__(
            f"{record} has {shown}",
            remedy="set it by hand to Proposed, Accepted, Rejected, Deprecated or "
            "Superseded by ADR-NNNN",
        )


class SupersedeCycle(LifecycleError):
    def __init__(self, chain: Sequence[int]) -> None:
        self.chain = tuple(chain)
        path = " -> ".join(f"ADR-{number:04d}" for number in chain)
        super().__init__(
            f"that would make a cycle of supersessions: {path}",
            remedy="write a new record that supersedes the last one",
        )


class ProposedSuccessor(LifecycleError):
    def __init__(self, successor: str, predecessor: str) -> None:
        self.successor, self.predecessor = successor, predecessor
        super().__init__(
            f"{successor} is only Proposed and cannot supersede {predecessor}, which is in force",
            remedy=f"accept {successor} first, or insist with --force",
        )


# --- files ----------------------------------------------------------------------------------


class TransactionError(AdrkitError):
    """Files that could not be changed together."""


class FileChanged(TransactionError):
    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path} changed on disk while it was being edited; nothing was written",
            remedy="run the command again",
        )


class RollbackFailed(TransactionError):
    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"a change failed midway, and {path} could not be put back: {reason}",
            remedy=f"git diff shows what is changed: git restore {path}",
        )


class WriteFailed(TransactionError):
    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"cannot write {path}: {reason}", remedy="check space and permissions")


class PathOutside(AdrkitError):
    """A path written in a record or on the command line that may not be followed."""

    def __init__(self, path: str, reason: str, remedy: str | None = None) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"path {path!r} is refused: {reason}",
            remedy=remedy or "name a file inside the project, relative to its root, with /",
        )


class FileTooLarge(AdrkitError):
    def __init__(self, path: Path, size: int, limit: int) -> None:
        self.path, self.size, self.limit = path, size, limit
        super().__init__(
            f"{path} is too large to be read: {size} bytes, the limit is {limit}",
            remedy="name a smaller file",
        )


class EditorFailed(AdrkitError):
    def __init__(self, command: str, reason: str) -> None:
        self.command, self.reason = command, reason
        super().__init__(
            f"editor {command!r} failed: {reason}",
            remedy="set $VISUAL or $EDITOR, or pass --no-edit; the record itself is written",
        )


# --- git ------------------------------------------------------------------------------------


class GitError(AdrkitError):
    """Something git could not answer."""


class GitNotFound(GitError):
    def __init__(self) -> None:
        super().__init__("the `git` command is not installed", remedy="install git 2.25 or newer")


class NotARepository(GitError):
    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path} is not inside a git work tree", remedy="run inside a clone, or `git init`"
        )


class UnsafeRepository(GitError):
    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"git refuses {path}: it belongs to another user",
            remedy=f"git config --global --add safe.directory {path}",
        )


class ShallowClone(GitError):
    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path} is a shallow clone: the history needed is not there",
            remedy="git fetch --unshallow (GitHub Actions: actions/checkout with fetch-depth: 0)",
        )


class UnknownRevision(GitError):
    def __init__(self, revision: str) -> None:
        self.revision = revision
        super().__init__(
            f"git knows no revision {revision!r}", remedy="fetch it, or name another base"
        )


class UnusableTree(GitError):
    """A commit whose files no directory can hold."""

    def __init__(self, commit: str, path: str, reason: str) -> None:
        self.commit, self.path, self.reason = commit, path, reason
        super().__init__(
            f"the files of commit {commit[:12]} cannot be written, {path!r}: {reason}",
            remedy="`git fsck` tells what is wrong; review a commit that can be checked out",
        )


class ProgramsInSettings(GitError):
    """A repository whose own settings run programs that cannot be left out."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"the settings of {path} run programs that cannot be left out: {reason}",
            remedy="look at its .git/config; a fresh `git clone` has none of them",
        )


class UnrelatedHistories(GitError):
    def __init__(self, left: str, right: str) -> None:
        self.left, self.right = left, right
        super().__init__(
            f"{left} and {right} have no commit in common",
            remedy="name another base with --base",
        )


class DefaultBranchUnknown(GitError):
    def __init__(self, branches: Sequence[str]) -> None:
        self.branches = tuple(branches)
        shown = ", ".join(branches[:5]) or "none"
        super().__init__(
            f"nothing says which branch is the default one (there are: {shown})",
            remedy='name a base with --base, or set branch = "..." in [tool.adrkit.audit]',
        )


class GitCommandFailed(GitError):
    def __init__(self, command: Sequence[str], exit_code: int, stderr: str) -> None:
        self.command, self.exit_code, self.stderr = tuple(command), exit_code, stderr
        super().__init__(
            f"`git {' '.join(command)}` failed with {exit_code}: {stderr.strip()}",
            remedy="run the command by hand to see what git wants",
        )


class MissingObjects(GitCommandFailed):
    """A partial clone (``git clone --filter=…``) lacks what would have to be fetched first."""

    def __init__(self, command: Sequence[str], exit_code: int, stderr: str) -> None:
        super().__init__(command, exit_code, stderr)
        self.args = ("this partial clone lacks files or folders of earlier commits",)
        self.remedy = "git fetch --refetch --no-filter, once, makes it whole"


class ExtraMissing(AdrkitError):
    """An optional dependency is not installed."""

    def __init__(self, extra: str) -> None:
        self.extra = extra
        super().__init__(
            f"this needs the extra {extra!r}", remedy=f"pip install 'adrkeep[{extra}]'"
        )
