"""Several records directories in one project: which of them is meant, and which files are whose.

Numbers are per directory: ADR-0003 in `services/orders` is another record than ADR-0003 in
`services/mail`. So each file must belong to one directory, and each place in the project too.
A directory's area is what stands above it: `services/orders` for `services/orders/docs/adr`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path, PurePosixPath

#: Where projects keep their records, most usual first; the first is also what `adr init` makes.
DEFAULT_DIRECTORIES = (
    "docs/adr", "doc/adr", "docs/adrs", "docs/decisions", "docs/architecture/decisions",
    "doc/architecture/decisions", "docs/architecture/adr", "adr", "decisions",
)  # fmt: skip


def area_of(directory: Path) -> Path:
    """What stands above one of the usual places; for any other directory its parent."""
    for name in sorted(DEFAULT_DIRECTORIES, key=len, reverse=True):
        usual = PurePosixPath(name).parts
        if directory.parts[-len(usual) :] == usual:
            return directory.parents[len(usual) - 1]
    return directory.parent


def owner(directories: Sequence[Path], path: Path) -> Path | None:
    """The directory that a file or place belongs to: the one it lies in, else the one whose area
    is the innermost around it; of two with the same area the first. Absolute paths."""
    for directory in directories:
        if path.is_relative_to(directory):
            return directory
    around = [d for d in directories if path.is_relative_to(area_of(d))]
    return max(around, key=lambda d: len(area_of(d).parts), default=None)


def in_view(directories: Sequence[Path], start: Path) -> tuple[Path, ...]:
    """What a reading command looks at from ``start``: all that lie below it, else its owner."""
    below = tuple(d for d in directories if d.is_relative_to(start) or area_of(d) == start)
    found = owner(directories, start)
    return below or ((found,) if found else tuple(directories))


def named_by(pattern: str, directory: str) -> bool:
    """Whether a pattern of the settings stands for a directory, which need not exist; both are
    relative to the project."""
    parts, names = PurePosixPath(pattern).parts, PurePosixPath(directory).parts
    reachable = {0}  # how many names the pattern's parts may have taken so far
    for part in parts:
        if part == "**":
            reachable = set(range(min(reachable), len(names) + 1)) if reachable else set()
        else:
            reachable = {
                at + 1 for at in reachable if at < len(names) and fnmatchcase(names[at], part)
            }
    return len(names) in reachable


def expanded(root: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """Directories in the order of the settings; a pattern stands for what it matches, sorted.

    A name without wildcards need not exist yet. Raises ValueError for an absolute pattern, and for
    one that would have to be looked for outside of ``root``.
    """
    for pattern in patterns:
        if PurePosixPath(pattern).is_absolute():
            raise ValueError(pattern)
        if _has_wildcard(pattern):
            yield from sorted(path.resolve() for path in _matching(root, pattern))
        else:
            yield (root / pattern).resolve()


def _has_wildcard(text: str) -> bool:
    return any(mark in text for mark in "*?[")


def _matching(root: Path, pattern: str) -> Iterator[Path]:
    """Directories below ``root`` that a pattern stands for. No link is followed on the way: a few
    that lead to their own directory, or one to ``/``, would make the search endless."""
    parts = PurePosixPath(pattern).parts
    plain = tuple(takewhile(lambda part: not _has_wildcard(part), parts))
    top = root.joinpath(*plain)
    if ".." in parts or not top.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{pattern} leads out of {root}")
    for folder, folders, _ in os.walk(top):
        relative = Path(folder).relative_to(root)
        if named_by(pattern, relative.as_posix()):
            yield Path(folder)
        deep_enough = "**" not in parts and len(relative.parts) >= len(parts)
        folders[:] = [] if deep_enough else [name for name in folders if name != ".git"]
