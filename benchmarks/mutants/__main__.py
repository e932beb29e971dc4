"""``make mutants``: how many small changes of our promises' code the tests notice.

Each module of ``modules.toml`` is changed in one place at a time, and its own quick tests run until
one fails: those that run the changed line first, then all. A mutant that all of them pass is a
survivor: a check that nothing holds. Of each module a sample is tried (``--sample``; ``--whole``
tries all): the same mutants each time, drawn by a seed and the mutant's own text, so that edits
elsewhere change little of it and a larger sample holds the smaller. Each verdict is kept as JSON at
once, so that a run that is cut off goes on where it was and only what changed is tried again.

The last line is exactly ``mutants: N tried, N killed, N equivalent, NN.N % of the others killed``;
the line before it says of how many that is a sample. The exit code is 1 below 95 %, or while
modules are left out or a listed equivalent does not survive.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mutants.modules import LIST, ROOT, Module, matches, read_modules
from mutants.mutate import Mutant, drawn, mutants_of
from mutants.results import (
    LEAST,
    NOBODY,
    SEED,
    Outcome,
    Verdict,
    load,
    save,
    source_digest,
    survivors,
)

if TYPE_CHECKING:  # it imports pytest, which a run with nothing to try does not need
    from mutants.run_one import Tests

SAMPLE = 4
TIMES_AS_LONG = 6
FEW = 3
"""So few new mutants do not pay for a run of all tests on real services; instead, who kills one of
them has to pass without it."""
LONG_SECONDS = 600.0
MOST_FIRST = 12
"""Tests that are named to pytest one by one."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make mutants")
    parser.add_argument("only", nargs="*", help="parts of module paths; default: all")
    parser.add_argument(
        "--sample",
        type=int,
        default=SAMPLE,
        help="how many of each module; half where services are needed",
    )
    parser.add_argument("--whole", action="store_true", help="every mutant: takes hours")
    parser.add_argument("--minutes", type=float, help="stop after so long; what is done is kept")
    parser.add_argument(
        "--least-seconds", type=float, default=15.0, help="what a mutant may take in any case"
    )
    parser.add_argument("--list", action="store_true", help="show survivors of the kept results")
    parser.add_argument("--log", type=Path, help="where a mutant's tests write, to look into one")
    options = parser.parse_args(arguments)
    sample = sys.maxsize if options.whole else options.sample
    chosen = [
        module
        for module in read_modules(LIST)
        if not options.only or any(part in module.path for part in options.only)
    ]
    kept = load()
    if options.list:
        print("\n".join(survivors(chosen, kept)))
        return 0
    until = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    todo = [m for m in chosen if not kept.get(m.path, Outcome()).is_done(m, m.sample(sample))]
    if todo and (until is None or time.monotonic() < until):
        from mutants.run_one import Tests, warm_up

        log = options.log or Path(tempfile.gettempdir()) / "mutants.log"
        warm_up([module.name for module in todo])
        with services(any(module.stack for module in todo)) as stack:
            known: dict[tuple[str, ...], tuple[dict[str, Any], float]] = {}

            def learn(module: Module, tests: Tests) -> tuple[dict[str, Any], float]:
                """Once for all modules that the same tests hold."""
                if module.tests not in known:
                    alike = [ROOT / each.path for each in todo if each.tests == module.tests]
                    known[module.tests] = tests.learn(module.source, alike)
                return known[module.tests]

            try:
                for module in todo:
                    services_of = stack if module.stack else None
                    tests = Tests(module.name, ROOT / module.path, module.tests, log, services_of)
                    try_sample(module, tests, learn, kept, sample, until, options.least_seconds)
            except OutOfTime:
                print("out of time", flush=True)
    return summary(chosen, kept, sample)


class OutOfTime(Exception):
    """The time that was given is over."""


def try_sample(
    module: Module,
    tests: Tests,
    learn: Callable[[Module, Tests], tuple[dict[str, Any], float]],
    kept: dict[str, Outcome],
    sample: int,
    until: float | None,
    least_seconds: float,
) -> None:
    """Try the mutants of one module's sample whose verdict is not known."""
    begun = time.monotonic()
    before = kept.get(module.path, Outcome())
    holding = before.holding(module)
    mutants = list(mutants_of(module.source))
    chosen = drawn(mutants, module.sample(sample), SEED)
    names = {mutant.name for mutant in mutants}
    # Verdicts beyond the sample are kept if they hold: they cost somebody's time.
    outcome = kept[module.path] = Outcome(
        source_digest(module),
        len(mutants),
        len(chosen),
        before.seconds,
        {name: verdict for name, verdict in before.mutants.items() if name in names},
    )
    # A survivor is tried again with the tests that were written for it, in the sample or not.
    wanted = {mutant.name for mutant in chosen} | outcome.mutants.keys()
    todo = [mutant for mutant in mutants if mutant.name in wanted - holding.keys()]
    strangers = [
        m for m in todo if m.name not in before.mutants or not before.mutants[m.name].killer
    ]
    is_learned = len(strangers) > (FEW if module.stack else 0)
    reach, took = learn(module, tests) if is_learned else ({}, LONG_SECONDS / TIMES_AS_LONG)
    for mutant in todo:
        if until is not None and time.monotonic() > until:
            raise OutOfTime
        known = before.mutants.get(mutant.name)
        first = first_tests(module, mutant, reach, known)
        by = tests.run(mutant.code, first, max(least_seconds, TIMES_AS_LONG * took))
        verdict = Verdict(mutant.line, by, "")
        if not is_learned and verdict.killer and not tests.passes(module.source, by, LONG_SECONDS):
            raise SystemExit(f"{module.path}: {by} fails without any change")
        verdict.at = module.digest(verdict.killer)
        outcome.mutants[mutant.name] = verdict
        if by == NOBODY:
            mark = " (equivalent)" if module.lists(mutant.name) else ""
            print(f"{module.path}:{mutant.line}: survived{mark}: {mutant.name}", flush=True)
        save(kept)
    outcome.seconds = round(before.seconds + time.monotonic() - begun, 1)
    save(kept)
    alive = sum(verdict.is_alive for verdict in outcome.mutants.values())
    tried = len(outcome.mutants)
    print(f"{module.path}: {tried} of {outcome.of} tried, {tried - alive} killed", flush=True)


def first_tests(
    module: Module, mutant: Mutant, reach: dict[str, Any], known: Verdict | None
) -> list[str]:
    """The tests to begin with: who killed it before, then who runs its line, the quickest first."""
    file = str(ROOT / module.path)
    runs = [node for node, test in reach.items() if mutant.line in test["lines"].get(file, ())]
    runs.sort(key=lambda node: reach[node]["seconds"])
    killer = None if known is None else known.killer
    if killer is not None and (not reach or killer in reach):
        return [killer]
    return runs[:MOST_FIRST]


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


def summary(modules: list[Module], kept: dict[str, Outcome], sample: int) -> int:
    """Print the last lines; return the exit code."""
    tried = killed = equivalent = of = seen = 0
    is_whole = True
    for module in modules:
        outcome = kept.get(module.path, Outcome())
        holding = outcome.holding(module)
        # A survivor stays one until it was tried again.
        counted = {n: v for n, v in outcome.mutants.items() if n in holding or v.is_alive}
        of += outcome.of
        seen += bool(counted)
        if not outcome.is_done(module, module.sample(sample)):
            print(f"{module.path}: not tried since it or its tests changed")
            is_whole = False
        alive = [name for name, verdict in counted.items() if verdict.is_alive]
        for entry in module.equivalents:
            if "pattern" in entry or any(matches(entry, name) for name in alive):
                continue
            # Of a sample, the mutant may not have been drawn.
            is_all = 0 < outcome.of == len(counted)
            if is_all or any(matches(entry, name) for name in counted):
                print(f"{module.path}: listed as equivalent, but it does not survive: {entry}")
                is_whole = False
        tried += len(counted)
        killed += len(counted) - len(alive)
        equivalent += sum(module.lists(name) for name in alive)
    others = tried - equivalent
    share = 100 * killed / others if others else 0.0
    if tried < of:
        print(
            f"a sample: {tried} of {of} mutants of {seen} modules (there are {len(modules)}), "
            f"seed {SEED}"
        )
    print(
        f"mutants: {tried} tried, {killed} killed, {equivalent} equivalent, "
        f"{share:.1f} % of the others killed"
    )
    return 0 if is_whole and share >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
