"""What checks may use: the project's files, parsed once, git, the clock, the pattern process."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from adrkit.checks.patterns import PatternProcess
from adrkit.checks.python_module import PythonModule, parse_module
from adrkit.checks.verdict import CannotEvaluate, Evidence, MissingEvidence
from adrkit.git import Git
from adrkit.project_files import ProjectFiles


@dataclass
class CheckContext:
    """``now`` has a time zone. ``commands`` is "refuse" (the default), "allow" or "skip".

    ``source_roots`` are the directories that importable packages are in, relative to the root;
    without them a package begins at the topmost directory that has an ``__init__.py``.
    """

    files: ProjectFiles
    git: Git | None
    now: datetime.datetime
    commands: str = "refuse"
    source_roots: tuple[str, ...] = ()
    patterns: PatternProcess = field(default_factory=PatternProcess)
    _modules: dict[str, PythonModule] = field(default_factory=dict)

    def read(self, path: str) -> bytes:
        """Raises MissingEvidence, PathOutside, FileTooLarge or UnreadableFile."""
        data = self.files.read(path)
        if data is None:
            raise MissingEvidence(f"there is no file {path}", Evidence(path))
        return data

    def find(self, patterns: tuple[str, ...], exclude: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Files of globs. Raises MissingEvidence when there are none: nothing was looked at."""
        found = self.files.find(patterns, exclude=exclude)
        if not found:
            raise MissingEvidence(f"no file matches {', '.join(patterns)}")
        return found

    def module(self, path: str) -> PythonModule:
        """Raises CannotEvaluate for what is no Python, and as ``read``."""
        if path not in self._modules:
            data = self.read(path)
            try:
                self._modules[path] = parse_module(path, data)
            except SyntaxError as error:
                raise CannotEvaluate(
                    f"{path} is no Python that can be parsed: {error.msg}",
                    Evidence(path, error.lineno),
                ) from error
            except (ValueError, RecursionError, MemoryError) as error:
                raise CannotEvaluate(f"{path} cannot be parsed as Python: {error}") from error
        return self._modules[path]
