"""``make mutants``: how many small changes of our promises' code the tests notice.

Each module of ``modules.toml`` is changed in one place at a time, and its own quick tests run until
one fails. A mutant that all of them pass is a survivor: a check that nothing holds. Results are
kept as JSON, by the content of the module and its tests, so that only what changed is tried again.

The last line is exactly ``mutants: N tried, N killed, N equivalent, NN.N % of the others killed``;
the exit code is 1 below 95 %, or while modules are left out or a listed equivalent does not exist.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mutants.mutate import Mutant, digest, mutants_of
from mutants.run_one import run_mutant, warm_up

ROOT = Path(os.environ.get("MUTANTS_ROOT", Path(__file__).parents[2]))  # a test has its own
LIST = ROOT / "benchmarks/mutants/modules.toml"
RESULTS = ROOT / "benchmarks/results/mutants.json"
LEAST = 95.0
TIMES_AS_LONG = 6


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

    def digest(self) -> str:
        files = {file for test in self.tests if "/" in test for file in _files(test)}
        texts = [file.read_bytes() for file in sorted(files)]
        return digest(self.source.encode(), " ".join(self.tests).encode(), *texts)

    def is_equivalent(self, mutant: Mutant) -> bool:
        return self.lists(mutant.name)

    def lists(self, name: str) -> bool:
        return any(_matches(entry, name) for entry in self.equivalents)


@dataclass
class Outcome:
    """What became of a module's mutants."""

    digest: str
    tried: int = 0
    killed: int = 0
    timeouts: int = 0
    seconds: float = 0.0
    alive: list[dict[str, Any]] = field(default_factory=list)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make mutants")
    parser.add_argument("only", nargs="*", help="parts of module paths; default: all")
    parser.add_argument("--minutes", type=float, help="stop after so long; what is done is kept")
    parser.add_argument(
        "--least-seconds", type=float, default=15.0, help="what a mutant may take in any case"
    )
    parser.add_argument("--list", action="store_true", help="show survivors of the kept results")
    parser.add_argument("--log", type=Path, help="where a mutant's tests write, to look into one")
    options = parser.parse_args(arguments)
    modules = read_modules(LIST)
    if options.list:
        return show(modules, load(), options.only)
    chosen = [m for m in modules if not options.only or any(o in m.path for o in options.only)]
    until = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    kept = load()
    todo = [m for m in chosen if kept.get(m.path, Outcome("")).digest != m.digest()]
    if todo:
        warm_up([module.name for module in todo])
        with services(any(module.stack for module in todo)) as stack:
            for module in todo:
                try:
                    kept[module.path] = try_all(
                        module, stack, until, options.log, options.least_seconds
                    )
                except OutOfTime:
                    print("out of time", flush=True)
                    break
                save(kept)
    return summary(chosen, kept)


class OutOfTime(Exception):
    """The time that was given is over; a module that was begun is not kept."""


def try_all(
    module: Module, stack: Any, until: float | None, log: Path | None, least_seconds: float
) -> Outcome:
    """Try every mutant of one module."""
    outcome = Outcome(module.digest())
    path, source = ROOT / module.path, module.source
    begun = time.monotonic()
    services = stack if module.stack else None
    log = log or Path(tempfile.gettempdir()) / "mutants.log"
    said, took = run_mutant(
        module.name, path, source, module.tests, seconds=300, stack=services, log=log
    )
    if said != "survived":
        output = log.read_text(errors="replace")[-2000:]
        raise SystemExit(f"{module.path}: its tests fail without any change ({said}):\n{output}")
    seconds = max(least_seconds, TIMES_AS_LONG * took)
    for mutant in mutants_of(source):
        if until is not None and time.monotonic() > until:
            raise OutOfTime
        said, _ = run_mutant(
            module.name, path, mutant.code, module.tests, seconds=seconds, stack=services, log=log
        )
        outcome.tried += 1
        if said == "survived":
            outcome.alive.append({"line": mutant.line, "mutant": mutant.name})
            mark = " (equivalent)" if module.is_equivalent(mutant) else ""
            print(f"{module.path}:{mutant.line}: survived{mark}: {mutant.name}", flush=True)
        else:
            outcome.killed += 1
            outcome.timeouts += said == "timeout"
    outcome.seconds = round(time.monotonic() - begun, 1)
    print(f"{module.path}: {outcome.tried} tried, {outcome.killed} killed", flush=True)
    return outcome


@contextlib.contextmanager
def services(are_needed: bool) -> Iterator[Any]:
    """The stack that all mutants share, with a migrated database of sample users to copy."""
    if not are_needed:
        yield None
        return
    from waybill.local.sample import create_users
    from waybill.local.service_stack import settings_of
    from waybill.local.stack import LocalStack
    from waybill.local.testing import make_template
    from waybill.migrations.run import migrate

    def prepare(dsn: str) -> None:
        migrate(settings_of(stack, database_url=dsn))
        create_users(dsn, 2_000)

    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as directory,
        LocalStack(Path(directory), fast=True) as stack,
    ):
        stack.mutants_template = make_template(stack, prepare)  # type: ignore[attr-defined]
        yield stack


def summary(modules: list[Module], kept: dict[str, Outcome]) -> int:
    """Print the last line; return the exit code."""
    tried = killed = equivalent = 0
    is_whole = True
    for module in modules:
        outcome = kept.get(module.path)
        if outcome is None or outcome.digest != module.digest():
            print(f"{module.path}: not tried since it or its tests changed")
            is_whole = False
            continue
        for entry in module.equivalents:
            is_of_here = "pattern" not in entry
            if is_of_here and not any(_matches(entry, a["mutant"]) for a in outcome.alive):
                print(f"{module.path}: listed as equivalent, but it does not survive: {entry}")
                is_whole = False
        tried += outcome.tried
        killed += outcome.killed
        equivalent += sum(module.lists(alive["mutant"]) for alive in outcome.alive)
    others = tried - equivalent
    share = 100 * killed / others if others else 0.0
    print(
        f"mutants: {tried} tried, {killed} killed, {equivalent} equivalent, "
        f"{share:.1f} % of the others killed"
    )
    return 0 if is_whole and share >= LEAST else 1


def show(modules: list[Module], kept: dict[str, Outcome], only: list[str]) -> int:
    """Print what survived."""
    for module in modules:
        if (only and not any(o in module.path for o in only)) or module.path not in kept:
            continue
        for alive in kept[module.path].alive:
            if not module.lists(alive["mutant"]):
                print(f"{module.path}:{alive['line']}: {alive['mutant']}")
    return 0


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


def _matches(entry: dict[str, str], name: str) -> bool:
    """``after`` may be ``*``: whatever becomes of that line. ``pattern`` is one of every module."""
    if "pattern" in entry:
        return re.fullmatch(entry["pattern"], name) is not None
    if entry["after"] == "*":
        return name.startswith(f"{entry['before']} -> ")
    return name == f"{entry['before']} -> {entry['after']}"


def _files(test: str) -> list[Path]:
    path = ROOT / test.partition("::")[0]
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def load() -> dict[str, Outcome]:
    if not RESULTS.exists():
        return {}
    document = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {path: Outcome(**outcome) for path, outcome in document["modules"].items()}


def save(kept: dict[str, Outcome]) -> None:
    document = {
        "least_percent": LEAST,
        "modules": {path: vars(outcome) for path, outcome in sorted(kept.items())},
    }
    RESULTS.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
