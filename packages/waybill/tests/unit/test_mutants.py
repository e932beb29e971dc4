"""``make mutants`` on a module of three lines: what lives and dies, is kept and said."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[4] / "benchmarks"
MODULE = '''"""A toy."""


def is_full(used: int, limit: int) -> bool:
    while limit < 0:
        limit = limit + 2
    return used > limit
'''
TESTS = """from toy.room import is_full

def test_full():
    assert is_full(3, 2)
    assert not is_full(1, 3)
    assert not is_full(1, -1)
    assert is_full(2, -1)
"""
ENDLESS = """import os
import resource

def test_endless():
    told = open(os.environ["TOLD"], "w")
    print(os.getpid(), resource.getrlimit(resource.RLIMIT_CPU)[0], file=told, flush=True)
    while True:
        pass
"""
LIST = """[[module]]
path = "packages/toy/src/toy/room.py"
tests = ["packages/toy/tests/test_room.py"]
"""
EQUIVALENT = """
[[module.equivalent]]
before = "while limit < 0:"
after = "while limit <= 0:"
reason = "a toy's reason"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {
        "packages/toy/src/toy/__init__.py": "",
        "packages/toy/src/toy/room.py": MODULE,
        "packages/toy/tests/test_room.py": TESTS,
        "benchmarks/mutants/modules.toml": LIST,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "benchmarks/results").mkdir()
    return tmp_path


def environment(root: Path) -> dict[str, str]:
    path = f"{BENCHMARKS}:{root / 'packages/toy/src'}"
    return {**os.environ, "MUTANTS_ROOT": str(root), "PYTHONPATH": path}


def mutants(root: Path, *arguments: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "mutants", "--least-seconds", "1", *arguments],
        cwd=root,
        env=environment(root),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


def kept_verdicts(root: Path) -> dict[str, dict[str, str]]:
    kept = json.loads((root / "benchmarks/results/mutants.json").read_text())
    [outcome] = kept["modules"].values()
    return dict(outcome["mutants"])


def test_survivors_are_shown_kept_and_counted(root: Path) -> None:
    code, lines = mutants(root, "--whole")

    survivors = {line.partition("survived: ")[2] for line in lines if "survived" in line}
    assert "while limit < 0: -> while limit <= 0:" in survivors
    assert "return used > limit -> return used >= limit" not in survivors
    verdicts = kept_verdicts(root)
    by = Counter(verdict["by"] for verdict in verdicts.values())
    assert by["time"] >= 1  # "limit - 2" never ends
    assert by["packages/toy/tests/test_room.py::test_full"] > by["time"]
    tried, killed = len(verdicts), len(verdicts) - by["nobody"]
    assert len(survivors) == by["nobody"]
    percent = f"{100 * killed / tried:.1f}"
    assert lines[-1] == (
        f"mutants: {tried} tried, {killed} killed, 0 equivalent, {percent} % of the others killed"
    )
    assert code == 1
    # The module and its tests are as they were: nothing is tried again, and nothing was written.
    assert (root / "packages/toy/src/toy/room.py").read_text() == MODULE
    assert mutants(root, "--whole") == (1, lines[-1:])

    (root / "benchmarks/mutants/modules.toml").write_text(LIST + EQUIVALENT)
    _, lines = mutants(root, "--whole")
    assert f"{killed} killed, 1 equivalent" in lines[-1]

    # One that is listed and does not live any more is told, and so is what was not tried.
    (root / "benchmarks/mutants/modules.toml").write_text(LIST + EQUIVALENT.replace("<=", "=="))
    assert "listed as equivalent, but it does not survive" in mutants(root, "--whole")[1][0]
    (root / "packages/toy/src/toy/room.py").write_text(MODULE + "\n")
    code, lines = mutants(root, "--minutes", "0")
    assert code == 1
    assert any("not tried since it or its tests changed" in line for line in lines)


def test_a_sample_is_told_grows_and_tries_again_only_what_changed(root: Path) -> None:
    _, lines = mutants(root, "--sample", "2")
    two = kept_verdicts(root)
    assert len(two) == 2
    assert re.fullmatch(
        r"a sample: 2 of (\d\d) mutants of 1 modules \(there are 1\), seed 13", lines[-2]
    )
    assert lines[-1].startswith("mutants: 2 tried, ")

    mutants(root, "--sample", "4")
    four = kept_verdicts(root)
    assert len(four) == 4
    assert four.items() >= two.items()

    # A verdict of a survivor is about all tests, and it stays one until it was tried
    # again; that of one that is dead is about its killer's file.
    more = root / "packages/toy/tests/test_more.py"
    more.write_text("def test_nothing():\n    assert True\n")
    both = LIST.replace('room.py"]', 'room.py", "packages/toy/tests/test_more.py"]')
    (root / "benchmarks/mutants/modules.toml").write_text(both)
    _, lines = mutants(root, "--sample", "4", "--minutes", "0")
    dead = sum("::" in verdict["by"] for verdict in four.values())
    assert 0 < dead < 4
    alive = sum(verdict["by"] == "nobody" for verdict in four.values())
    assert lines[-1].startswith(f"mutants: {dead + alive} tried, {dead} killed, ")


def test_tests_that_fail_by_themselves_are_no_verdict(root: Path) -> None:
    (root / "packages/toy/tests/test_room.py").write_text("def test_x():\n    assert False\n")
    code, _ = mutants(root)

    assert code == 1
    assert not (root / "benchmarks/results/mutants.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere its processor time alone ends it")
def test_endless_mutant_ends_with_the_run_that_is_killed(root: Path) -> None:
    fifo = root / "told"
    os.mkfifo(fifo)
    (root / "packages/toy/tests/test_room.py").write_text(ENDLESS)
    told = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    run = subprocess.Popen(
        [sys.executable, "-m", "mutants"],
        cwd=root,
        env=environment(root) | {"TOLD": str(fifo)},
        stdout=subprocess.DEVNULL,
    )
    try:
        assert select.select([told], [], [], 120)[0]
        child, seconds = map(int, os.read(told, 100).split())
    finally:
        run.kill()
        run.wait()
    try:
        # What is read ends when its only writer has.
        assert select.select([told], [], [], 60)[0]
        assert os.read(told, 100) == b""
    finally:
        os.close(told)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    # What a mutant starts has no parent to end with: it has a bound.
    assert seconds > 0


def test_every_module_that_is_listed_is_there() -> None:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from mutants.__main__ import ROOT, read_modules
    finally:
        sys.path.remove(str(BENCHMARKS))

    modules = read_modules(BENCHMARKS / "mutants/modules.toml")
    assert len({module.path for module in modules}) == len(modules) > 30
    for module in modules:
        for path in (module.path, *module.tests):
            assert (ROOT / path.partition("::")[0]).exists(), path
