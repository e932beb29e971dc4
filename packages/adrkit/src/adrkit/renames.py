"""Where the paths that a record names are now: followed through git's renames.

An accepted record keeps its words, and the code moves on. A path counts from the commit that
brought it into the record; what git knows as renamed since then (``git log -M``), it is followed
through, once or many times. What was deleted is gone, and a copy is no rename. The whole history
is read in one pass, and only when some path is not there.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from adrkit.errors import GitCommandFailed
from adrkit.git import Change, Git
from adrkit.globs import is_glob, matches

#: Commits looked at, newest first: what was renamed before them is not followed.
MAX_COMMITS = 50_000

#: Stands for a commit that is still to be made, of renames in git's index.
STAGED = ""

_CODE = (".py", "/__init__.py")


@dataclass(frozen=True, slots=True)
class Followed:
    """``path`` is what the record names, ``to`` where it is; both relative to the project.

    ``commits`` are those that renamed it, oldest first; the last may be STAGED.
    """

    path: str
    to: str
    commits: tuple[str, ...]

    def __str__(self) -> str:
        ids = [commit[:7] for commit in self.commits if commit != STAGED]
        staged = ["git's index"] if STAGED in self.commits else []
        return f"{self.path} → {self.to} (renamed in {', '.join(ids + staged)})"


@dataclass(frozen=True, slots=True)
class _End:
    """Where a file's trail ends; ``path`` is None when it was deleted."""

    path: str | None
    commits: tuple[str, ...]


class Renames:
    """The renames of one project: ``root`` is its directory, in or at git's work tree.

    ``records`` is the directory of the records; methods take the record's own path first.
    """

    def __init__(self, root: Path, git: Git | None, records: Path) -> None:
        self.root = root.resolve()
        self._git = git
        self._records = records
        self._origins: dict[tuple[Path, str], str | None] = {}
        self._versions: dict[Path, tuple[tuple[str, bytes], ...]] = {}
        self._later: dict[str, tuple[Change, ...]] = {}
        self._known: dict[tuple[str, str], Followed | None] = {}

    # -- what is asked -----------------------------------------------------------------------

    def follow(self, record: Path, path: str, written: str | None = None) -> Followed | None:
        """Where ``path``, which is not there, went; None when nothing knows.

        ``written`` is how the record spells it. A folder is followed when most of its files went
        to one other folder.
        """
        origin = self._origin(record, written or path)
        if origin is None:
            return None
        path = path.rstrip("/")
        key = (origin, path)
        if key not in self._known:
            self._known[key] = self._file(origin, path) or self._folder(origin, path)
        return self._known[key]

    def follow_files(
        self, record: Path, pattern: str, written: str | None = None
    ) -> tuple[Followed, ...]:
        """Each file that ``pattern``, a glob or a folder, once named, where it is now."""
        origin = self._origin(record, written or pattern)
        if origin is None:
            return ()
        within = pattern if is_glob(pattern) else f"{pattern}/**"
        found = (
            self._file(origin, old) for old in self._old_names(origin, lambda n: matches(n, within))
        )
        return tuple(item for item in found if item is not None)

    def follow_end(self, record: Path, end: str, written: str) -> Followed | None:
        """As ``follow``, for the last parts of a path, if one file or folder alone ended so."""
        origin = self._origin(record, written)
        if origin is None:
            return None
        marked = f"/{end.strip('/')}/"
        names = {
            f"/{name}/"[1 : f"/{name}/".index(marked) + len(marked) - 1]
            for name in self._old_names(origin, lambda name: marked in f"/{name}/")
        }
        return self.follow(record, names.pop(), written) if len(names) == 1 else None

    def follow_modules(self, record: Path, module: str) -> tuple[str, ...]:
        """Dotted names that a Python module of the project has now, and those below it."""
        origin = self._origin(record, module)
        if origin is None:
            return ()
        tail = module.replace(".", "/")

        def names_it(name: str) -> bool:
            padded = f"/{name}"
            return f"/{tail}/" in padded if name.endswith(".py") else False

        def is_it(name: str) -> bool:
            return f"/{name}".endswith(f"/{tail}.py") or names_it(name)

        found: dict[str, None] = {}
        for old in self._old_names(origin, is_it):
            moved = self._file(origin, old)
            if moved is None or not moved.to.endswith(".py"):
                continue
            root = old[: f"/{old}".index(f"/{tail}")]  # what the package's own directory is in
            found[_dotted(_below_root(moved.to, root))] = None
        return tuple(found)

    def left(self, record: Path, folder: str) -> bool:
        """Whether files went out of a folder that the record names."""
        origin = self._origin(record, folder)
        if origin is None:
            return False
        return bool(self._old_names(origin, lambda name: name.startswith(f"{folder}/")))

    def latest(self, path: str) -> str | None:
        """Where a path went by the newest renames, whenever it was named: a hint, no proof."""
        end = _walk(self._events, self._in_tree(path))
        return self._existing(end.path) if end.path and end.commits else None

    def remark(self, record: Path, path: str, written: str | None = None) -> str:
        """What to say of a path that was not followed: "" or a text that begins with "; "."""
        if self._git is None:
            return "; without git nothing tells whether it was renamed: check in a clone"
        if self._git.is_shallow:
            return (
                "; this is a shallow clone, and the history that may tell where it went is not "
                "there: git fetch --unshallow"
            )
        origin = self._origin(record, written or path)
        if origin is None or is_glob(path):
            return ""
        end = _walk(self._since(origin), self._in_tree(path))
        if end.path is None:
            return f"; deleted in {end.commits[-1][:7] or 'the index'}"
        places = self._folders(origin, path.rstrip("/"))
        if len(places) > 1:
            listed = ", ".join(f"{place} ({count})" for place, count in places.most_common(3))
            return f"; its files went to {listed}"
        return ""

    # -- files and folders -------------------------------------------------------------------

    def _file(self, origin: str, path: str) -> Followed | None:
        end = _walk(self._since(origin), self._in_tree(path))
        if end.path is None or not end.commits:
            return None
        to = self._existing(end.path)
        return Followed(path, to, end.commits) if to else None

    def _folder(self, origin: str, path: str) -> Followed | None:
        places = self._folders(origin, path)
        if not places:
            return None
        place, count = places.most_common(1)[0]
        gone = self._deleted(origin, path)
        if count * 2 <= places.total() or places.total() < gone:
            return None
        commits: dict[str, None] = {}
        for old in self._old_names(origin, lambda name: name.startswith(f"{path}/")):
            if moved := self._file(origin, old):
                commits |= dict.fromkeys(moved.commits)
        return Followed(path, place, tuple(commits))

    def _folders(self, origin: str, path: str) -> Counter[str]:
        """Folders that the files of one went to, with their numbers."""
        found: Counter[str] = Counter()
        for old in self._old_names(origin, lambda name: name.startswith(f"{path}/")):
            moved = self._file(origin, old)
            if moved is None:
                continue
            tail = old[len(path) :]
            place = (
                moved.to[: -len(tail)] if moved.to.endswith(tail) else posixpath.dirname(moved.to)
            )
            if place:
                found[place] += 1
        return found

    def _deleted(self, origin: str, path: str) -> int:
        names = self._old_names(origin, lambda name: name.startswith(f"{path}/"))
        return sum(_walk(self._since(origin), self._in_tree(name)).path is None for name in names)

    def _old_names(self, origin: str, wanted: Callable[[str], bool]) -> list[str]:
        """Names, relative to the project, of files that went since a commit."""
        found: dict[str, None] = {}
        for change in self._since(origin):
            name = self._in_project(change.old_path or change.path)
            if name is not None and wanted(name):
                found[name] = None
        return list(found)

    def _existing(self, in_tree: str) -> str | None:
        name = self._in_project(in_tree)
        return name if name is not None and (self.root / name).exists() else None

    # -- paths of the project and of the work tree ---------------------------------------------

    @cached_property
    def _prefix(self) -> str:
        """The project's place in the work tree: "" or "packages/orders/"."""
        if self._git is None:
            return ""
        place = self.root.relative_to(self._git.root.resolve()).as_posix()
        return "" if place == "." else f"{place}/"

    def _in_tree(self, path: str) -> str:
        return f"{self._prefix}{path.rstrip('/')}"

    def _in_project(self, path: str) -> str | None:
        return path[len(self._prefix) :] if path.startswith(self._prefix) else None

    # -- history -----------------------------------------------------------------------------

    @cached_property
    def _events(self) -> tuple[Change, ...]:
        """Renames and deletions of every commit and of the index, oldest first."""
        if self._git is None or self._git.head().commit is None:
            return ()
        try:
            return self._git.moves(MAX_COMMITS)
        except GitCommandFailed:  # a partial clone whose remote is away
            return ()

    @cached_property
    def _parents(self) -> Mapping[str, tuple[str, ...]]:
        return self._git.parents() if self._git is not None else {}

    def _since(self, origin: str) -> tuple[Change, ...]:
        """Events of the commits that do not come before ``origin``."""
        if origin not in self._later:
            before: set[str] = set()
            waiting = [origin]
            while waiting:
                commit = waiting.pop()
                if commit not in before:
                    before.add(commit)
                    waiting += self._parents.get(commit, ())
            self._later[origin] = tuple(e for e in self._events if e.commit not in before)
        return self._later[origin]

    def _origin(self, record: Path, written: str) -> str | None:
        """The commit that brought ``written`` into the record to stay; None when it is in none."""
        if self._git is None or not self._events:
            return None
        path = record.resolve()
        key = (path, written)
        if key not in self._origins:
            found = None
            wanted = written.encode()
            for commit, content in self._versions_of(path):
                if wanted not in content:
                    break
                found = commit
            self._origins[key] = found
        return self._origins[key]

    def _versions_of(self, path: Path) -> tuple[tuple[str, bytes], ...]:
        """Commits that changed a record, with its content there, newest first."""
        if path not in self._versions:
            git = self._git
            assert git is not None  # noqa: S101 - asked only with events, which are git's
            try:
                names = self._former_names(git.relative(path))
            except ValueError:  # a record outside of the work tree
                return ()
            commits = [(c, n) for n in names for c in self._record_commits.get(n, ())]
            order = {commit: place for place, commit in enumerate(self._parents)}
            commits.sort(key=lambda item: order.get(item[0], 0))
            contents = git.read([f"{commit}:{name}" for commit, name in commits])
            self._versions[path] = tuple(
                (commit, content)
                for commit, name in commits
                if (content := contents[f"{commit}:{name}"]) is not None
            )
        return self._versions[path]

    def _former_names(self, path: str) -> tuple[str, ...]:
        names = [path]
        for change in reversed(self._events):
            if change.status == "R" and change.path == names[-1] and change.old_path:
                names.append(change.old_path)
        return tuple(dict.fromkeys(names))

    @cached_property
    def _record_commits(self) -> Mapping[str, Sequence[str]]:
        """Commits by path, newest first, of the records and of what their files were called."""
        git = self._git
        assert git is not None  # noqa: S101 - as above
        try:
            places = [git.relative(self._records)]
        except ValueError:  # outside of the work tree
            return {}
        below = f"{places[0]}/"
        for change in reversed(self._events):
            if change.old_path and (change.path.startswith(below) or change.path in places):
                places.append(change.old_path)
        found: dict[str, list[str]] = {}
        for change in git.changes(*dict.fromkeys(places), revisions=("HEAD",), renames=False):
            if change.status in "AM":
                found.setdefault(change.path, []).append(change.commit)
        return found


def _walk(events: Iterable[Change], path: str) -> _End:
    current, commits = path, []
    for change in events:
        if change.status == "R" and change.old_path == current:
            current = change.path
            commits.append(change.commit)
        elif change.status == "D" and change.path == current:
            return _End(None, (*commits, change.commit))
    return _End(current, tuple(commits))


def _below_root(file: str, root: str) -> str:
    """A file as its source root sees it: the known root, or what follows the last ``src/``."""
    return file[len(root) :] if file.startswith(root) else f"/{file}".rpartition("/src/")[2]


def _dotted(file: str) -> str:
    for ending in reversed(_CODE):
        if file.endswith(ending):
            file = file[: -len(ending)]
            break
    return file.strip("/").replace("/", ".")
