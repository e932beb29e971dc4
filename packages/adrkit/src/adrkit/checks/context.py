"""What checks may use: the project's files, parsed once, git, the clock, patterns."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace
from pathlib import Path

from adrkit.checks.patterns import Patterns
from adrkit.checks.python_module import PythonModule, parse_module
from adrkit.checks.verdict import CannotEvaluate, Evidence, MissingEvidence
from adrkit.followed_files import FollowedFiles
from adrkit.git import Git
from adrkit.project_files import ProjectFiles
from adrkit.record import Record
from adrkit.renames import Followed, Renames


@dataclass
class CheckContext:
    """``now`` has a time zone. ``commands`` is "refuse" (the default), "allow" or "skip".

    ``source_roots`` are the directories that importable packages are in, relative to the root;
    without them a package begins at the topmost directory that has an ``__init__.py``.
    With ``renames``, paths that records name are followed to where they are now. ``parsed`` may be
    shared by the contexts of several commits: files that are the same in them are parsed once.
    """

    files: ProjectFiles
    git: Git | None
    now: datetime.datetime
    commands: str = "refuse"
    source_roots: tuple[str, ...] = ()
    patterns: Patterns = field(default_factory=Patterns)
    renames: Renames | None = None
    parsed: dict[tuple[str, bytes], PythonModule] = field(default_factory=dict)
    _modules: dict[Path, PythonModule] = field(default_factory=dict)

    def of(self, record: Record) -> CheckContext:
        """The context for one record's checks: its paths count from when it was written."""
        if self.renames is None or record.path is None:
            return self
        return replace(self, files=FollowedFiles(self.files, self.renames, record.path))

    @property
    def followed(self) -> tuple[Followed, ...]:
        return self.files.followed if isinstance(self.files, FollowedFiles) else ()

    def place(self, path: str) -> str:
        """Where a path that a check names is now: itself, if it is there. Raises PathOutside."""
        return self.files.place(path) if isinstance(self.files, FollowedFiles) else path

    def python_modules(self, module: str) -> tuple[str, ...]:
        """A dotted name and those that the module has since it was moved."""
        return self.files.modules(module) if isinstance(self.files, FollowedFiles) else (module,)

    def remark(self, path: str) -> str:
        """What git says of a path that is not there: "" or a text that begins with "; "."""
        return self.files.remark(path) if isinstance(self.files, FollowedFiles) else ""

    def read(self, path: str) -> bytes:
        """Raises MissingEvidence, PathOutside, FileTooLarge or UnreadableFile."""
        data = self.files.read(path)
        if data is None:
            raise MissingEvidence(f"there is no file {path}{self.remark(path)}", Evidence(path))
        return data

    def find(self, patterns: tuple[str, ...], exclude: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Files of globs. Raises MissingEvidence when one of them matches none: what it is about
        was not looked at."""
        found = self.files.find(patterns, exclude=exclude)
        if not found:
            remark = self.remark(patterns[0]) if len(patterns) == 1 else ""
            raise MissingEvidence(f"no file matches {', '.join(patterns)}{remark}")
        for pattern in patterns:
            if len(patterns) > 1 and not self.files.find([pattern]):
                raise MissingEvidence(f"no file matches {pattern}{self.remark(pattern)}")
        return found

    def module(self, path: str) -> PythonModule:
        """Raises CannotEvaluate for what is no Python, and as ``read``."""
        place = self.files.resolve(path)
        if place not in self._modules:
            key = (self.place(path), self.read(path))
            try:
                if key not in self.parsed:
                    self.parsed[key] = parse_module(*key)
                self._modules[place] = self.parsed[key]
            except SyntaxError as error:
                raise CannotEvaluate(
                    f"{path} is no Python that can be parsed: {error.msg}",
                    Evidence(path, error.lineno),
                ) from error
            except (ValueError, RecursionError, MemoryError) as error:
                raise CannotEvaluate(f"{path} cannot be parsed as Python: {error}") from error
        return self._modules[place]
