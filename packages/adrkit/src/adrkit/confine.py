"""Where files may be written: a checkout is other people's, links in it may lead anywhere."""

from __future__ import annotations

import os
from pathlib import Path

from adrkit.errors import PathOutside
from adrkit.git_safety import is_git_name


def boundary_of(place: Path) -> Path:
    """The checkout around a directory: the nearest one with a ``.git`` entry, else itself."""
    for folder in (place, *place.parents):
        if (folder / ".git").exists():
            return folder
    return place


def confined(path: Path, *roots: Path) -> Path:
    """``path`` with its symbolic links followed, below one of ``roots``. Raises PathOutside."""
    try:
        real = path.resolve()
        held = [place for root in roots if real.is_relative_to(place := root.resolve())]
    except (OSError, RuntimeError) as error:  # a circle of links
        raise PathOutside(str(path), "its symbolic links lead nowhere") from error
    except ValueError as error:
        raise PathOutside(str(path).replace("\0", "\\0"), "it holds a null character") from error
    if not held:
        raise PathOutside(str(path), f"it leads to {real}, which is outside")
    # From every root: a `.git` that somebody put inside of git's own directory hides nothing.
    places = (boundary_of(real.parent), *held)
    if any(is_git_name(part) for place in places for part in real.relative_to(place).parts):
        raise PathOutside(str(path), "it is git's own")
    return real


def root_for(path: Path, boundary: Path) -> Path:
    """What a path that the user named may not leave.

    A path that lies in the checkout stays there, whatever links it goes through; of one that
    lies elsewhere the user has chosen the directory.
    """
    named = Path(os.path.abspath(path))  # noqa: PTH100 - the path as it is written
    limit = boundary.resolve()
    if any(folder.resolve() == limit for folder in (named, *named.parents)):
        return limit
    return named.parent
