"""What a range of commits changes: files, lines, messages."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from adrkit.git import Git

_HUNK = re.compile(rb"@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True, slots=True)
class Line:
    """``number`` is that of the new file; for a removed line, where it stood before."""

    number: int
    text: str


@dataclass(slots=True)
class FileDiff:
    """``status`` is A, M, D, R, C or T; paths are relative to the top level. ``old_path`` is the
    same as ``path`` unless the file was renamed or copied."""

    status: str
    path: str
    old_path: str
    added: list[Line] = field(default_factory=list)
    removed: list[Line] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Message:
    commit: str
    text: str


def read_diff(git: Git, base: str, head: str) -> tuple[FileDiff, ...]:
    """Every changed file with its lines; binary files have none."""
    options = ("--no-ext-diff", "--no-textconv", "-M", "--no-color", base, head, "--")
    found = list(_statuses(git.run("diff", "--raw", "-z", "--no-abbrev", *options)))
    # The files of a patch come in the order of --raw: names need not be read from its headers,
    # where a file called `b/x` makes them ambiguous.
    patch = git.run("diff", "-U0", "--full-index", "--submodule=short", *options)
    for file, part in zip(found, _parts(patch), strict=False):
        _read_lines(file, part)
    return tuple(found)


def messages(git: Git, base: str, head: str) -> tuple[Message, ...]:
    """Messages of the commits of ``head`` that ``base`` does not have, newest first."""
    output = git.run("log", "-z", "--format=%H%n%B", f"{base}..{head}")
    found = []
    for raw in output.split(b"\0"):
        commit, _, text = raw.partition(b"\n")
        if commit.strip():
            found.append(Message(commit.decode().strip(), text.decode("utf-8", "replace")))
    return tuple(found)


def _statuses(output: bytes) -> Iterator[FileDiff]:
    fields = iter(output.split(b"\0"))
    for raw in fields:
        if not raw.startswith(b":"):
            continue
        status = raw.decode().split(" ")[4][0]
        old = new = os.fsdecode(next(fields))
        if status in "RC":
            new = os.fsdecode(next(fields))
        yield FileDiff(status, new, old)


def _parts(patch: bytes) -> list[bytes]:
    starts = [match.start() for match in re.finditer(rb"^diff --git ", patch, re.MULTILINE)]
    if not starts:
        return []  # nothing changed
    # A line of content begins with + or -, never with "diff": these are the headers alone.
    return [patch[low:high] for low, high in zip(starts, [*starts[1:], len(patch)], strict=True)]


def _read_lines(file: FileDiff, part: bytes) -> None:
    at = 0
    inside = False
    for raw in part.split(b"\n"):
        if match := _HUNK.match(raw):
            at, inside = int(match.group(1)), True
        elif inside and raw.startswith(b"+"):
            file.added.append(Line(at, raw[1:].decode("utf-8", "replace").rstrip("\r")))
            at += 1
        elif inside and raw.startswith(b"-"):
            file.removed.append(Line(max(at, 1), raw[1:].decode("utf-8", "replace").rstrip("\r")))
