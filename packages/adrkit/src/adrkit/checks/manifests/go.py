"""``go.mod``: require, replace, exclude, and what is only indirect."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from adrkit.checks.manifests.declared import (
    Allowed,
    Declared,
    Ecosystem,
    Project,
    Unknown,
    decoded,
)
from adrkit.checks.manifests.semver import ExactVersion, overlap, range_problem
from adrkit.checks.verdict import CannotEvaluate, Evidence

_TOKEN = re.compile(r'"(?P<double>[^"\n]*)"|`(?P<back>[^`\n]*)`|(?P<bare>=>|[()]|[^\s()"`]+)')
_VERBS = {
    "module", "go", "toolchain", "godebug", "require", "replace", "exclude", "retract", "tool",
    "ignore",
}  # fmt: skip
#: From this language version on, go.mod names every module of the build at the version used.
_COMPLETE_SINCE = (1, 17)


@dataclass
class _GoMod:
    path: str
    language: tuple[int, ...] = (1, 16)
    required: dict[str, tuple[str, bool, int]] = field(default_factory=dict)
    #: By module and version ("" for every version): what stands in, and the line.
    replaced: dict[tuple[str, str], tuple[str, str, int]] = field(default_factory=dict)
    excluded: set[tuple[str, str]] = field(default_factory=set)


def _declared(path: str, project: Project) -> list[Declared]:
    """Raises CannotEvaluate for what is no go.mod."""
    found = _parsed(path, decoded(path, project.read(path)))
    governed = _work_file(path, project)
    declared: list[Declared] = []
    for module, (version, indirect, line) in found.required.items():
        where = Evidence(path, line)
        scope = "indirect" if indirect else "project"
        stand_in = found.replaced.get((module, version)) or found.replaced.get((module, ""))
        allowed: Allowed = ExactVersion(version, where, at_least=found.language < _COMPLETE_SINCE)
        doubt = ""
        if stand_in is not None:
            other, its_version, its_line = stand_in
            there = Evidence(path, its_line)
            if other.startswith((".", "/")) or not its_version:
                allowed = Unknown(f"{module} is replaced by the folder {other}", there)
            elif other == module:
                allowed = ExactVersion(its_version, there)
            else:
                doubt = f"{there} replaces {module} by {other}"
                allowed = Unknown(doubt, there)
                used = ExactVersion(its_version, there)
                text = f"{other} {its_version}"
                declared.append(Declared(other, text, "replacement", used, there))
        elif (module, version) in found.excluded:
            allowed = Unknown(f"{module} {version} is excluded: a later one is used", where)
        if governed and not isinstance(allowed, Unknown):
            allowed = Unknown(f"{governed} decides on versions, too", where)
        declared.append(Declared(module, f"{module} {version}", scope, allowed, where, doubt))
    return declared


def _work_file(path: str, project: Project) -> str:
    folder = posixpath.dirname(path)
    while True:
        place = posixpath.join(folder, "go.work")
        if project.find((place,)):
            return place
        if not folder:
            return ""
        folder = posixpath.dirname(folder)


def _parsed(path: str, text: str) -> _GoMod:
    found = _GoMod(path)
    modules = 0
    for line, verb, words, comment in _statements(path, text):
        where = Evidence(path, line)
        if verb == "module":
            modules += 1
        elif verb == "go" and len(words) == 1:
            found.language = tuple(int(number) for number in re.findall(r"\d+", words[0])[:2])
        elif verb == "require":
            if len(words) != 2:
                raise CannotEvaluate(f"{where}: a requirement is a module and a version", where)
            module, version = words
            if module in found.required and found.required[module][0] != version:
                raise CannotEvaluate(f"{where}: {module} is required twice", where)
            indirect = re.match(r"indirect(?:;|$)", comment) is not None
            found.required[module] = version, indirect, line
        elif verb == "replace":
            if "=>" not in words:
                raise CannotEvaluate(f"{where}: a replacement has an arrow =>", where)
            at = words.index("=>")
            old, new = words[:at], words[at + 1 :]
            if len(old) not in (1, 2) or len(new) not in (1, 2):
                raise CannotEvaluate(f"{where}: a replacement is A [v] => B [v]", where)
            key = old[0], old[1] if len(old) == 2 else ""
            if key in found.replaced:
                raise CannotEvaluate(f"{where}: {key[0]} is replaced twice", where)
            found.replaced[key] = new[0], new[1] if len(new) == 2 else "", line
        elif verb == "exclude" and len(words) == 2:
            found.excluded.add((words[0], words[1]))
    if modules != 1:
        raise CannotEvaluate(f"{path} is no go.mod: it has {modules} module lines", Evidence(path))
    return found


def _statements(path: str, text: str) -> Iterator[tuple[int, str, list[str], str]]:
    """Line, verb, its words and the comment behind them; blocks are taken apart."""
    block = ""
    for line, raw in enumerate(text.splitlines(), 1):
        code, comment = _split_comment(raw)
        words = [m["double"] or m["back"] or m["bare"] or "" for m in _TOKEN.finditer(code)]
        if not words:
            continue
        if block:
            if words == [")"]:
                block = ""
            else:
                yield line, block, words, comment
            continue
        verb, *rest = words
        if verb not in _VERBS:
            where = Evidence(path, line)
            raise CannotEvaluate(f"{where}: {verb!r} is no word of a go.mod", where)
        if rest == ["("]:
            block = verb
        elif rest != ["(", ")"]:
            yield line, verb, rest, comment
    if block:
        raise CannotEvaluate(f"{path}: a block `{block} (` does not end", Evidence(path))


def _split_comment(line: str) -> tuple[str, str]:
    """Comments begin with // at the start or behind a blank: module paths hold no //."""
    match = re.search(r"(?:^|\s)//(.*)$", line)
    return (line[: match.start()], match[1].strip()) if match else (line, "")


GO = Ecosystem("go", str, _declared, range_problem, overlap)
