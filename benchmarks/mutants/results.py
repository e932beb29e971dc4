"""What is kept of the mutants that were tried: ``benchmarks/results/mutants.json``.

A verdict holds while the module and the test that killed the mutant are as they were; that of a
survivor, while all of the module's tests are. One that holds no more still says which test to begin
with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from mutants.modules import ROOT, Module

RESULTS = ROOT / "benchmarks/results/mutants.json"
SEED = 13
LEAST = 95.0
NOBODY = "nobody"
"""Who killed a survivor. Others are ``time`` (it never ended) and node ids of pytest."""


@dataclass
class Verdict:
    """What became of one mutant, and of which code and tests (``Module.digest``) that is said."""

    line: int
    by: str
    at: str

    @property
    def is_alive(self) -> bool:
        return self.by == NOBODY

    @property
    def killer(self) -> str | None:
        return self.by if "::" in self.by or self.by.endswith(".py") else None


@dataclass
class Outcome:
    """The verdicts of a module's sample, by the mutants' names. ``of``: how many mutants the
    module has in all; ``sample``: how many were to be tried."""

    source: str = ""
    of: int = 0
    sample: int = 0
    seconds: float = 0.0
    mutants: dict[str, Verdict] = field(default_factory=dict)

    def holding(self, module: Module) -> dict[str, Verdict]:
        """The verdicts that still hold."""
        known: dict[str | None, str] = {}
        return {
            name: verdict
            for name, verdict in self.mutants.items()
            if verdict.at == known.setdefault(verdict.killer, module.digest(verdict.killer))
        }

    def is_done(self, module: Module, sample: int) -> bool:
        """Whether as many were tried as ``sample`` asks for, of the module as it is, and none of
        the verdicts is out of date: a survivor does not leave the count because a test is new."""
        return (
            self.of > 0
            and self.source == source_digest(module)
            and len(self.holding(module)) == len(self.mutants) >= min(sample, self.of)
        )


def source_digest(module: Module) -> str:
    from mutants.mutate import digest

    return digest(module.source.encode())


def load() -> dict[str, Outcome]:
    if not RESULTS.exists():
        return {}
    document = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {path: _outcome(entry) for path, entry in document["modules"].items()}


def _outcome(entry: dict[str, object]) -> Outcome:
    mutants = entry.pop("mutants")
    assert isinstance(mutants, dict)
    return Outcome(
        **entry,  # type: ignore[arg-type]
        mutants={name: Verdict(**verdict) for name, verdict in mutants.items()},
    )


def save(kept: dict[str, Outcome]) -> None:
    document = {
        "least_percent": LEAST,
        "seed": SEED,
        "modules": {path: asdict(outcome) for path, outcome in sorted(kept.items())},
    }
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    temporary = RESULTS.with_suffix(".new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(RESULTS)  # a run that is cut off leaves the one or the other


def survivors(modules: list[Module], kept: dict[str, Outcome]) -> Iterator[str]:
    """Yield a line for each survivor that is not listed as equivalent."""
    for module in modules:
        for name, verdict in kept.get(module.path, Outcome()).mutants.items():
            if verdict.is_alive and not module.lists(name):
                yield f"{module.path}:{verdict.line}: {name}"
