"""What the readers of all ecosystems have in common."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from adrkit.checks.verdict import CannotEvaluate, Evidence


class Allowed(Protocol):
    """The versions that a declaration allows."""

    def within(self, wanted: str) -> bool:
        """Whether all of them lie in a range. Raises CannotEvaluate when that cannot be told."""
        ...


@dataclass(frozen=True, slots=True)
class Unknown:
    """Versions that the file does not tell; ``reason`` completes "X allows versions that …"."""

    reason: str
    evidence: Evidence

    def within(self, wanted: str) -> bool:
        raise CannotEvaluate(f"{self.evidence}: {self.reason}", self.evidence)


@dataclass(frozen=True, slots=True)
class Declared:
    """One declaration. ``name`` is canonical, ``text`` is shown.

    ``scope``: "project" (always installed), "file", "extra:NAME", "group:NAME", "optional", "dev",
    "peer", "build", "target" (on some platforms), or one of ``UNUSED_SCOPES``. ``doubt`` says why
    it is not certain that this very package is what gets used.
    """

    name: str
    text: str
    scope: str
    allowed: Allowed
    evidence: Evidence
    doubt: str = ""


#: Named there, but not by the project's own wish or for its own use: enough to break a promise of
#: absence, not enough to keep one of presence.
UNUSED_SCOPES = frozenset({"indirect", "replacement", "workspace"})


@dataclass(frozen=True, slots=True)
class Project:
    """The files that readers may follow. ``read`` raises MissingEvidence, ``find`` does not."""

    read: Callable[[str], bytes]
    find: Callable[[tuple[str, ...]], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Ecosystem:
    """``declared`` gives None for a file that declares nothing in a way that can be read.

    ``range_problem`` says what is wrong with the ``version`` of a check, None when it is a range;
    ``overlap`` whether two ranges have a version in common.
    """

    name: str
    canonical: Callable[[str], str]
    declared: Callable[[str, Project], list[Declared] | None]
    range_problem: Callable[[str], str | None]
    overlap: Callable[[str, str], bool]


def line_of(text: str, *needles: str) -> int | None:
    """The line of the first of ``needles`` that occurs."""
    for needle in needles:
        if (at := text.find(needle)) >= 0:
            return text.count("\n", 0, at) + 1
    return None


def decoded(path: str, data: bytes) -> str:
    """UTF-8 text. Raises CannotEvaluate."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CannotEvaluate(f"{path} is not UTF-8", Evidence(path)) from error
    if "\0" in text:
        raise CannotEvaluate(f"{path} is not UTF-8 text: it holds zero bytes", Evidence(path))
    return text


def beside(path: str, *relative: str) -> str:
    """A path relative to the folder of ``path``, normalised."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), *relative))


def member_manifests(path: str, members: object, excluded: object, project: Project) -> list[str]:
    """The manifests of a workspace's members, called as its own is. A negated pattern excludes."""
    name = posixpath.basename(path)
    listed = _texts(members)
    without = _texts(excluded)
    without += [item[1:] for item in listed if item.startswith("!")]
    wanted = tuple(beside(path, item, name) for item in listed if not item.startswith("!"))
    unwanted = tuple(beside(path, item, name) for item in without)
    found = project.find(wanted) if wanted else ()
    left_out = set(project.find(unwanted)) if unwanted else set()
    return [item for item in found if item not in left_out and item != path]


def _texts(listed: object) -> list[str]:
    return [item for item in listed if isinstance(item, str)] if isinstance(listed, list) else []
