"""The modules of ``modules.toml``: what is changed, the tests that hold it, and the equivalents."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from mutants.mutate import digest

ROOT = Path(os.environ.get("MUTANTS_ROOT", Path(__file__).parents[2]))  # a test has its own
LIST = ROOT / "benchmarks/mutants/modules.toml"


@dataclass(frozen=True)
class Module:
    """A module, and the tests that hold it: ``tests`` as for pytest, ``stack`` if they need real
    services, which are started once for all mutants."""

    path: str
    tests: tuple[str, ...]
    stack: bool = False
    equivalents: tuple[dict[str, str], ...] = ()

    @property
    def name(self) -> str:
        return ".".join(Path(self.path).with_suffix("").parts[3:])

    @property
    def source(self) -> str:
        return (ROOT / self.path).read_text(encoding="utf-8")

    def sample(self, size: int) -> int:
        """How many of its mutants are to be tried: half as many where each needs real services."""
        return -(-size // 2) if self.stack else size

    def digest(self, killer: str | None = None) -> str:
        """What a verdict depends on: the module, and the file of the test that killed the mutant;
        all of the module's tests where none did."""
        file = (ROOT / (killer or "").partition("::")[0]) if killer else None
        if file is not None and file.is_file():
            return digest(self.source.encode(), file.read_bytes())
        files = {file for test in self.tests if "/" in test for file in _files(test)}
        texts = [file.read_bytes() for file in sorted(files)]
        return digest(self.source.encode(), " ".join(self.tests).encode(), *texts)

    def lists(self, name: str) -> bool:
        """Whether a mutant is listed as equivalent."""
        return any(matches(entry, name) for entry in self.equivalents)


def read_modules(path: Path) -> list[Module]:
    """Read ``modules.toml``. Raises KeyError for an equivalent without a reason."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    everywhere = document.get("everywhere", [])
    for each in everywhere:
        _ = each["pattern"], each["reason"]
    modules = []
    for entry in document["module"]:
        equivalents = entry.get("equivalent", [])
        for each in equivalents:
            _ = each["before"], each["after"], each["reason"]
        modules.append(
            Module(
                entry["path"],
                tuple(entry["tests"]),
                entry.get("stack", False),
                (*equivalents, *everywhere),
            )
        )
    return modules


def matches(entry: dict[str, str], name: str) -> bool:
    """``after`` may be ``*``: whatever becomes of that line. ``pattern`` is one of every module."""
    if "pattern" in entry:
        return re.fullmatch(entry["pattern"], name) is not None
    if entry["after"] == "*":
        return name.startswith(f"{entry['before']} -> ")
    return name == f"{entry['before']} -> {entry['after']}"


def _files(test: str) -> list[Path]:
    path = ROOT / test.partition("::")[0]
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]
