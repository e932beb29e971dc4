"""Declared dependencies, by the file that declares them: one module per ecosystem.

A reader says what a file declares, in which scope, and which versions that allows. What a file
leaves to others (a fork, a folder, a tag, an override) allows versions that nobody can tell from
it: asking for them is an error, never a pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from adrkit.checks.manifests.cargo import CARGO
from adrkit.checks.manifests.declared import Declared, Ecosystem, Project
from adrkit.checks.manifests.go import GO
from adrkit.checks.manifests.npm import NPM
from adrkit.checks.manifests.python import PYTHON
from adrkit.checks.verdict import CannotEvaluate, Evidence

__all__ = ["ECOSYSTEMS", "Declared", "Ecosystem", "Project", "ecosystem_of"]

#: By the name of the file; everything else is Python's (``pyproject.toml``, requirements files).
ECOSYSTEMS: Mapping[str, Ecosystem] = {
    "package.json": NPM,
    "go.mod": GO,
    "Cargo.toml": CARGO,
    "pyproject.toml": PYTHON,
}

_LOCKS = {
    "poetry.lock", "uv.lock", "pdm.lock", "Pipfile.lock", "package-lock.json", "yarn.lock",
    "pnpm-lock.yaml", "npm-shrinkwrap.json", "bun.lock", "go.sum", "Cargo.lock",
}  # fmt: skip


def ecosystem_of(path: str) -> Ecosystem:
    """Raises CannotEvaluate for a file that declares nothing: a lock, another tool's manifest."""
    file = PurePosixPath(path)
    if file.name in ECOSYSTEMS:
        return ECOSYSTEMS[file.name]
    if file.name in _LOCKS:
        raise CannotEvaluate(
            f"{path} is a lock: it repeats what is declared elsewhere; name that file in `files`",
            Evidence(path),
        )
    if file.suffix in (".json", ".mod", ".lock", ".yaml", ".yml", ".xml", ".work", ".sum"):
        raise CannotEvaluate(
            f"{path} is no manifest that is known: {', '.join(ECOSYSTEMS)}, requirements files",
            Evidence(path),
        )
    return PYTHON
