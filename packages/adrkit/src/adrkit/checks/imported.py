"""Modules of the project that a file imports from, found as Python and pytest would find them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

from adrkit.checks.context import CheckContext
from adrkit.checks.python_module import PythonModule
from adrkit.checks.verdict import CannotEvaluate, MissingEvidence
from adrkit.errors import AdrkitError


def find_module(context: CheckContext, path: str) -> PythonModule | None:
    """The module at a path of the project, None where there is none that can be read."""
    try:
        return context.module(path) if is_file(context, path) else None
    except (AdrkitError, CannotEvaluate, MissingEvidence, OSError):
        return None


def is_file(context: CheckContext, path: str) -> bool:
    """Whether a file is there today, whatever was there once (no renames are followed)."""
    place = (context.files.root / path).resolve()
    return place.is_relative_to(context.files.root) and place.is_file()


def origin_of(
    context: CheckContext, module: PythonModule, name: str
) -> tuple[PythonModule | None, str, str] | None:
    """Where ``name`` (``helpers.skip_slow``) comes from, if the file imports it: the project's
    module, None for one that is not in the project, its dotted name, and the name in it."""
    first, _, rest = name.partition(".")
    for node in module.nodes:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) != first:
                    continue
                dotted = "." * node.level + (node.module or "")
                if found := _module_of(context, module.path, dotted):
                    return found, dotted, ".".join(filter(None, (alias.name, rest)))
                inner = f"{dotted}{'' if dotted.endswith('.') else '.'}{alias.name}"
                return _module_of(context, module.path, inner), inner, rest or alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                called = alias.asname or alias.name
                if name != called and name.startswith(f"{called}."):
                    found = _module_of(context, module.path, alias.name)
                    return found, alias.name, name.removeprefix(f"{called}.")
    return None


def _module_of(context: CheckContext, path: str, dotted: str) -> PythonModule | None:
    for place in _places(context, path, dotted):
        for candidate in (f"{place}.py", f"{place}/__init__.py"):
            found = find_module(context, candidate)
            if found is not None and found.path != path:
                return found
    return None


def _places(context: CheckContext, path: str, dotted: str) -> Iterator[str]:
    folder = PurePosixPath(path).parent
    relative = dotted.lstrip(".")
    inside = relative.replace(".", "/")
    level = len(dotted) - len(relative)
    if level:
        for _ in range(level - 1):
            folder = folder.parent
        yield (folder / inside).as_posix() if inside else folder.as_posix()
        return
    # The file's own folders (pytest puts them on the path), the sources' and the project's.
    for above in (folder, *folder.parents):
        yield (above / inside).as_posix()
    for root in (*context.source_roots, "src"):
        yield (PurePosixPath(root) / inside).as_posix()
