"""A thin, exact wrapper over the ``git`` command.

Everything that lists paths uses ``-z``, so that names with spaces, quotes or newlines come
through; objects are read in one ``cat-file --batch``. Paths given and returned are relative to
the top level, with ``/``.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from adrkit.errors import (
    GitCommandFailed,
    GitNotFound,
    MissingObjects,
    NotARepository,
    ProgramsInSettings,
    ShallowClone,
    UnknownRevision,
    UnreadableFile,
    UnsafeRepository,
)
from adrkit.git_safety import (
    MAX_OVERRIDES,
    PROGRAM,
    QUARANTINE,
    QUIET,
    repository_environment,
    safe_options,
)

_NO_WORK_TREE = ("not a git repository", "must be run in a work tree", "bare repository")
_USAGE = 129  # git's exit code for options that it does not know

# Of commands that compare: no program of the repository's for what is different.
_PLAIN = ("--no-ext-diff", "--no-textconv")


@dataclass(frozen=True, slots=True)
class Head:
    """``commit`` is None before the first commit, ``branch`` is None on a detached head."""

    commit: str | None
    branch: str | None


@dataclass(frozen=True, slots=True)
class Ref:
    """``name`` is the full name, ``refs/heads/main``; ``commit`` what it points at."""

    name: str
    commit: str

    @property
    def short(self) -> str:
        for prefix in ("refs/heads/", "refs/remotes/", "refs/tags/"):
            if self.name.startswith(prefix):
                return self.name[len(prefix) :]
        return self.name


@dataclass(frozen=True, slots=True)
class Change:
    """One path of one commit: ``status`` is git's letter A, M, D, R, C or T.

    ``old_path`` is set for R and C only.
    """

    commit: str
    status: str
    path: str
    old_path: str | None = None


class Git:
    """Commands in one work tree. Every method raises GitCommandFailed on an unexpected failure,
    MissingObjects where a partial clone would have to ask its remote."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of_bare(cls, directory: Path) -> Git:
        """Git of a bare repository that we made ourselves; any other is refused
        (``safe.bareRepository``), since a checkout may hold one as plain files."""
        found = cls(directory)
        found.__dict__["overrides"], found.__dict__["unnamable"] = ("--git-dir=.",), ()
        return found

    @classmethod
    def discover(cls, path: Path) -> Git:
        """Git of the work tree around ``path``, a directory.

        Raises GitNotFound, NotARepository or UnsafeRepository.
        """
        place = path
        while not place.is_dir() and place != place.parent:
            place = place.parent
        try:
            asked = cls(place)
            top = asked.run("rev-parse", "--show-toplevel")
        except GitCommandFailed as error:
            if "dubious ownership" in error.stderr:
                raise UnsafeRepository(path) from error
            if not any(said in error.stderr for said in _NO_WORK_TREE):
                raise  # there is one, which git cannot read: nobody may take it for none
            raise NotARepository(path) from error
        root = Path(os.fsdecode(top.rstrip(b"\n")))
        # `core.worktree` may name any directory: the work tree is the one that holds `.git`.
        if not (root / ".git").exists() or not place.resolve().is_relative_to(root.resolve()):
            raise NotARepository(path)
        found = cls(root)
        for name in ("programs", "overrides", "unnamable"):  # the same settings
            found.__dict__[name] = getattr(asked, name)
        return found

    @classmethod
    def find(cls, path: Path) -> Git | None:
        """As ``discover``, but None without a work tree or without git."""
        try:
            return cls.discover(path)
        except (GitNotFound, NotARepository):
            return None

    def run(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        """Output of ``git ARGUMENTS``. Raises GitNotFound or GitCommandFailed."""
        return self._run(arguments, (*safe_options(), *self.overrides), stdin, self.unnamable)

    def act(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        """As ``run``, for commands that the user asked to change the repository: the project's
        hooks and filters take part, as in any commit."""
        held = os.environ.get(QUARANTINE)  # no ref moves while a push waits
        kept = {} if held is None else {QUARANTINE: held}
        return self._run(arguments, ("-c", "core.quotePath=false"), stdin, kept=kept)

    def _run(
        self,
        arguments: Sequence[str],
        options: Sequence[str],
        stdin: bytes | None = None,
        emptied: Sequence[str] = (),
        kept: Mapping[str, str] | None = None,
    ) -> bytes:
        environment = {**repository_environment(emptied), **QUIET, **(kept or {})}
        command = ["git", "--no-pager", *options, *arguments]
        try:
            done = subprocess.run(  # noqa: S603 - a fixed program, arguments never through a shell
                command,
                cwd=self.root,
                input=b"" if stdin is None else stdin,
                env=environment,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise GitNotFound from error
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace")
            kind = MissingObjects if "promisor remote" in said else GitCommandFailed
            raise kind(arguments, done.returncode, said)
        return done.stdout

    @cached_property
    def programs(self) -> tuple[str, ...]:
        """The repository's own settings that name programs. Raises ProgramsInSettings.

        Those in the user's own settings (`git lfs install`) are theirs and stay.
        """
        names = (os.fsdecode(entry.split(b"\n", 1)[0]) for entry in self._own_settings())
        found = tuple(dict.fromkeys(name for name in names if PROGRAM.fullmatch(name)))
        if sum(len(os.fsencode(name)) + 100 for name in found) > MAX_OVERRIDES:
            raise ProgramsInSettings(self.root, "they are too many")
        return found

    @cached_property
    def overrides(self) -> tuple[str, ...]:
        """Options that take ``programs`` out of the settings; see ``unnamable`` for the others."""
        return tuple(
            part for name in self.programs if "=" not in name for part in ("-c", f"{name}=")
        )

    @cached_property
    def unnamable(self) -> tuple[str, ...]:
        """Those of ``programs`` that no option of git can name: ``repository_environment`` does.

        Raises ProgramsInSettings where git does not follow: it does from 2.31 on.
        """
        found = tuple(name for name in self.programs if "=" in name)
        if found:
            listed = self._run(
                ("config", "--list", "-z"), (*safe_options(), *self.overrides), emptied=found
            )
            last: Mapping[bytes, bytes] = {
                name: value
                for name, _, value in (entry.partition(b"\n") for entry in listed.split(b"\0"))
            }
            for name in found:
                if last.get(os.fsencode(name)):
                    raise ProgramsInSettings(self.root, f"{name} is not, by this git")
        return found

    def _own_settings(self) -> Iterator[bytes]:
        """Those of the repository and of the work tree, what they include as well."""
        try:
            output = self._run(("config", "--list", "--show-scope", "-z"), safe_options())
        except GitCommandFailed as error:
            if error.exit_code != _USAGE:
                return  # no repository, or settings that do not parse
        else:
            fields = output.split(b"\0")
            for scope, entry in zip(fields[::2], fields[1::2], strict=False):
                if scope in (b"local", b"worktree"):
                    yield entry
            return
        # Before git 2.26 no setting tells where it is from: each place is asked by itself.
        for place in ("--local", "--worktree"):
            try:
                output = self._run(("config", place, "--includes", "--list", "-z"), safe_options())
            except GitCommandFailed as error:
                if place == "--local" and error.exit_code == _USAGE:
                    raise  # nobody could say which programs git would run
                continue  # no repository, or a git that knows no settings of work trees
            yield from output.split(b"\0")

    # -- where we are ------------------------------------------------------------------------

    @cached_property
    def is_shallow(self) -> bool:
        return self.run("rev-parse", "--is-shallow-repository").strip() == b"true"

    def require_history(self) -> None:
        """Raises ShallowClone."""
        if self.is_shallow:
            raise ShallowClone(self.root)

    def head(self) -> Head:
        try:
            branch = os.fsdecode(self.run("symbolic-ref", "-q", "HEAD").strip())
        except GitCommandFailed:
            branch = ""
        try:
            commit = self.run("rev-parse", "--verify", "-q", "HEAD^{commit}").decode().strip()
        except GitCommandFailed:
            commit = ""
        return Head(commit or None, branch.removeprefix("refs/heads/") or None)

    def resolve(self, revision: str) -> str:
        """Commit of a revision. Raises UnknownRevision."""
        try:
            found = self.run(
                "rev-parse", "--verify", "-q", "--end-of-options", f"{revision}^{{commit}}"
            )
        except GitCommandFailed as error:
            raise UnknownRevision(revision) from error
        return found.decode().split()[-1]

    def merge_base(self, left: str, right: str) -> str | None:
        """Best common ancestor, None for unrelated histories. Raises UnknownRevision."""
        commits = [self.resolve(left), self.resolve(right)]
        try:
            return self.run("merge-base", *commits).decode().split()[0]
        except GitCommandFailed as error:
            if error.exit_code == 1:
                return None
            raise

    def refs(self, *patterns: str) -> tuple[Ref, ...]:
        """Refs of commits, by default all local and remote branches (symbolic ones left out)."""
        output = self.run(
            "for-each-ref",
            "--format=%(objecttype) %(objectname) %(*objectname) %(symref)%00%(refname)",
            *(patterns or ("refs/heads", "refs/remotes")),
        )
        found = []
        for line in output.splitlines():
            head, _, name = line.partition(b"\0")
            kind, commit, peeled, symbolic = head.decode().split(" ")
            if not symbolic and (kind == "commit" or peeled):
                found.append(Ref(os.fsdecode(name), peeled or commit))
        return tuple(found)

    # -- paths and contents ------------------------------------------------------------------

    def relative(self, path: Path) -> str:
        """Path relative to the top level, with ``/``. Raises ValueError outside of it.

        A file that is a symbolic link is named itself, as git does.
        """
        real = path.resolve() if path.is_dir() else path.parent.resolve() / path.name
        return real.relative_to(self.root.resolve()).as_posix()

    def tracked(self, *paths: str) -> tuple[str, ...]:
        """Tracked and new but not ignored files of the work tree."""
        places = _literal(paths)
        cached = _names(self.run("ls-files", "-z", "--cached", "--", *places))
        self._require_files(cached)
        new = self.run("ls-files", "-z", "--others", "--exclude-standard", "--", *places)
        return tuple(dict.fromkeys((*cached, *_names(new))))

    def _require_files(self, names: Iterable[str]) -> None:
        """Raises UnreadableFile for a pipe that git would wait for, in the place of a .gitignore
        beside one of these files or above it."""
        folders = {Path(name).parent for name in names} | {Path()}
        for folder in {place for each in folders for place in (each, *each.parents)}:
            ignored = self.root / folder / ".gitignore"
            if ignored.is_fifo():
                raise UnreadableFile(ignored, "it is no file")

    def files_at(self, revision: str, *paths: str) -> tuple[str, ...]:
        """Files in a revision's tree, below ``paths`` when given."""
        output = self.run(
            "ls-tree", "-r", "-z", "--name-only", "--full-tree", revision, "--", *paths
        )
        return _names(output)

    def read(self, objects: Iterable[str]) -> dict[str, bytes | None]:
        """Contents of blobs named ``REVISION:PATH`` or by id, in one process; None if absent."""
        names = list(objects)
        if not names:
            return {}
        if any("\n" in name for name in names):  # `cat-file --batch` reads one name a line
            return {name: self._read_one(name) for name in names}
        requests = b"".join(os.fsencode(name) + b"\n" for name in names)
        output = self.run("cat-file", "--batch", stdin=requests)
        found: dict[str, bytes | None] = {}
        position = 0
        for name in names:
            end = output.index(b"\n", position)
            header = output[position:end].split(b" ")
            position = end + 1
            if header[-1] in (b"missing", b"ambiguous"):
                found[name] = None
                continue
            size = int(header[-1])
            found[name] = output[position : position + size] if header[-2] == b"blob" else None
            position += size + 1
        return found

    def _read_one(self, name: str) -> bytes | None:
        try:
            return self.run("cat-file", "blob", name)
        except GitCommandFailed:
            return None

    # -- history -----------------------------------------------------------------------------

    def changes(
        self, *paths: str, revisions: Sequence[str] = ("--all", "HEAD"), renames: bool = True
    ) -> Iterator[Change]:
        """Changed paths of all commits, newest first; merges against each parent.

        By default of every branch, tag and remote. A shallow clone yields what it has.
        """
        if "HEAD" in revisions and self.head().commit is None:
            revisions = [revision for revision in revisions if revision != "HEAD"]
        if not revisions:
            return
        output = self.run(
            "log", *_PLAIN, "-z", "--format=%x01%H", "--name-status", "-m",
            "-M" if renames else "--no-renames", *revisions, "--", *_literal(paths),
        )  # fmt: skip
        yield from _read_changes(output)

    def moves(self, commits: int) -> tuple[Change, ...]:
        """Renames and deletions up to HEAD and in the index, oldest first.

        At most so many commits, the newest. Whole-tree log, so that git sees both sides of each
        rename. Of a partial clone only files that moved unchanged are known as renamed: for the
        others git would have to fetch their contents.
        """
        options = (
            *_PLAIN,
            "-z",
            "--name-status",
            "--diff-filter=RD",
            "-l1000",
            self._rename_option,
        )
        output = self.run(
            "log", "-m", "--topo-order", "--format=%x01%H", f"--max-count={commits}",
            *options, "HEAD", "--",
        )  # fmt: skip
        staged = self.run("diff-index", "--cached", *options, "HEAD", "--")
        return (*reversed(list(_read_changes(output))), *_read_changes(staged))

    def first_days(self) -> dict[str, str]:
        """The day (YYYY-MM-DD) on which each path first came in, under whatever name.

        One pass over the history up to HEAD; empty before the first commit.
        """
        if self.head().commit is None:
            return {}
        listed = self.run("log", "--format=%H %as", "HEAD", "--").decode().splitlines()
        days = dict(line.split(" ", 1) for line in listed)
        output = self.run(
            "log", "-m", "--topo-order", "--format=%x01%H", *_PLAIN, "-z", "--name-status",
            "--diff-filter=AR", "-l1000", self._rename_option, "HEAD", "--",
        )  # fmt: skip
        found: dict[str, str] = {}
        for change in reversed(list(_read_changes(output))):
            day = days[change.commit]
            found.setdefault(change.path, found.get(change.old_path or "", day))
        return found

    @property
    def _rename_option(self) -> str:
        return "-M100%" if self.is_partial else "-M"

    @cached_property
    def is_partial(self) -> bool:
        """Whether objects may be missing that a remote has promised to give."""
        try:
            return bool(self.run("config", "--get-regexp", r"^remote\..*\.promisor$").strip())
        except GitCommandFailed:
            return False

    def parents(self) -> dict[str, tuple[str, ...]]:
        """Parents by commit of HEAD's history, children before their parents."""
        found: dict[str, tuple[str, ...]] = {}
        for line in self.run("rev-list", "--topo-order", "--parents", "HEAD", "--").splitlines():
            commit, *parents = line.decode().split()
            found[commit] = tuple(parents)
        return found


def _names(output: bytes) -> tuple[str, ...]:
    return tuple(os.fsdecode(name) for name in output.split(b"\0") if name)


def _literal(paths: Iterable[str]) -> tuple[str, ...]:
    """A directory may be named `:(top)adr` or `a[d]r`: to git a pattern, to us a name."""
    return tuple(f":(literal){path}" for path in paths)


def _read_changes(output: bytes) -> Iterator[Change]:
    commit = ""
    fields = iter(output.split(b"\0"))
    for raw in fields:
        entry = raw.lstrip(b"\n")
        if not entry:
            continue
        if entry.startswith(b"\x01"):
            commit = entry[1:41].decode() if len(entry) < 65 else entry[1:65].decode()
            continue
        status = entry[:1].decode()
        path = os.fsdecode(next(fields))
        if status in "RC":
            yield Change(commit, status, os.fsdecode(next(fields)), path)
        else:
            yield Change(commit, status, path)
