"""One mutant under its tests, in a forked process: nothing on disk is changed.

The parent has imported what the tests need from others, so that a mutant costs little more than its
tests. The child forgets our own packages and imports them anew, one module of them mutated.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.abc
import importlib.machinery
import importlib.util
import json
import math
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

from mutants.plugin import FirstFailure, Reach
from mutants.results import NOBODY

OURS = ("waybill", "adrkit")
MEMORY_BYTES = 6 * 1024**3
"""Of a mutant that never ends and keeps all it made."""
_PR_SET_PDEATHSIG = 1
UNUSABLE = (3, 4, 5)
"""pytest's own failures: it could not even begin, or found no test of that name."""


class Finder(importlib.abc.MetaPathFinder):
    """Finds one module's mutant where its source lies."""

    def __init__(self, module: str, path: Path, code: CodeType) -> None:
        self._module = module
        self._path = path
        self._code = code

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        code = self._code

        class Loader(importlib.machinery.SourceFileLoader):
            def get_code(self, fullname: str) -> CodeType:
                return code

        return importlib.util.spec_from_file_location(
            fullname, self._path, loader=Loader(fullname, str(self._path))
        )


def warm_up(modules: Sequence[str]) -> None:
    """Import what tests need, before there is a child. The child forgets what is ours of it."""
    for name in ("hypothesis", "pytest", "pytest_asyncio.plugin", "_hypothesis_pytestplugin"):
        importlib.import_module(name)
    for name in modules:
        importlib.import_module(name)


@dataclass(frozen=True)
class Tests:
    """The tests of one module, which are run on its mutants. ``stack``: the real services."""

    module: str
    path: Path
    paths: tuple[str, ...]
    log: Path
    stack: Any = None

    def learn(self, source: str, modules: Sequence[Path]) -> tuple[dict[str, Any], float]:
        """Run them on the module as it is: who runs which line of ``modules``, and the seconds it
        all took.

        Raises SystemExit if they fail.
        """
        with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
            found = Path(directory) / "reach.json"
            reach = Reach(modules, found)
            status, took = self._fork(source, self.paths, 900, reach, before=reach.begin)
            if status != 0 or not found.exists():
                output = self.log.read_text(errors="replace")[-2000:]
                raise SystemExit(f"{self.path}: its tests fail without any change:\n{output}")
            return json.loads(found.read_text()), took

    def run(self, code: str, first: Sequence[str], seconds: float) -> str:
        """Return who killed a mutant: a test's node id, ``time`` or ``nobody``.

        ``first`` are run alone, then all. A mutant of which they know nothing may only pass all.
        """
        for chosen in (first, self.paths):
            if not chosen:
                continue
            with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
                failed = Path(directory) / "failed"
                status, _ = self._fork(code, chosen, seconds, FirstFailure(failed))
                said = failed.read_text() if failed.exists() else ""
            if status is None:
                return "time"
            if status in UNUSABLE and not said and chosen is first:
                continue
            if status != 0:
                return said or "import"
        return NOBODY

    def passes(self, code: str, test: str, seconds: float) -> bool:
        """Whether one test passes, or its like where its own parameters cannot be named."""
        status: int | None = None
        for named in (test, test.partition("[")[0]):
            with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
                failed = FirstFailure(Path(directory) / "failed")
                status, _ = self._fork(code, [named], seconds, failed)
            if status not in UNUSABLE:
                break
        return status == 0

    def _fork(
        self,
        code: str,
        tests: Sequence[str],
        seconds: float,
        plugin: object,
        before: Callable[[], None] = lambda: None,
    ) -> tuple[int | None, float]:
        """Return the exit status of pytest, ``None`` if it took too long; and the seconds."""
        begun = time.monotonic()
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            status = 70
            try:
                os.setsid()
                _end_with(parent)
                _bound(seconds)
                status = self._in_child(code, tests, plugin, before)
            except BaseException:
                status = 71
            finally:
                os._exit(status)
        ended = _wait(child, begun + seconds)
        # What the tests started goes with them.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if ended is None:
            os.waitpid(child, 0)
        return ended, time.monotonic() - begun

    def _in_child(
        self, code: str, tests: Sequence[str], plugin: object, before: Callable[[], None]
    ) -> int:
        output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(output, stream)
        ours = {*OURS, self.module.partition(".")[0]}
        for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
            del sys.modules[name]
        compiled = compile(code, str(self.path), "exec")
        sys.meta_path.insert(0, Finder(self.module, self.path, compiled))
        if self.stack is not None:
            _share(self.stack)
        import pytest

        # Finding and importing every plugin there is takes longer than most tests.
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        plugins = ["no:cacheprovider", "pytest_asyncio.plugin", "_hypothesis_pytestplugin"]
        options = ["-q", "-x", *(part for name in plugins for part in ("-p", name))]
        if self.stack is None and self.module.startswith("waybill."):
            # The fixtures there are for tests on real services, and import all of waybill.
            options.append("--noconftest")
        before()
        return int(pytest.main([*options, *tests], plugins=[plugin]))


def _end_with(parent: int) -> None:
    """End this process when ``parent`` ends, however it does. The thread that forked is its main
    one, so the kernel's word is enough (``waybill.local.guard`` says when it is not)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before we asked
        os._exit(70)


def _bound(seconds: float) -> None:
    """Bound this process and each that it starts: they would outlive a parent that is killed.

    The parent's clock comes first: no process can have spent all this while it runs.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    spent = math.ceil((seconds + 1) * (os.cpu_count() or 1)) + 1
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    if most != resource.RLIM_INFINITY:
        spent = min(spent, most)
    resource.setrlimit(resource.RLIMIT_CPU, (spent, spent))


def _wait(child: int, until: float) -> int | None:
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


def _share(stack: Any) -> None:
    """Let the tests use the parent's services and its template instead of starting their own."""
    from waybill.local import testing

    class Shared:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def __enter__(self) -> Any:
            return stack

        def __exit__(self, *_: object) -> None:
            pass

    testing.LocalStack = Shared  # type: ignore[assignment,misc]
    testing.make_template = lambda stack, prepare: stack.mutants_template  # type: ignore[assignment]
