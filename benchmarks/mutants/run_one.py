"""One mutant under its tests, in a forked process: nothing on disk is changed.

The parent has imported what the tests need from others, so that a mutant costs little more than its
tests. The child forgets our own packages and imports them anew, one module of them mutated.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import CodeType
from typing import Any

OURS = ("waybill", "adrkit")
MEMORY_BYTES = 6 * 1024**3
"""Of a mutant that never ends and keeps all it made."""


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


def run_mutant(
    module: str,
    path: Path,
    code: str,
    tests: Sequence[str],
    *,
    seconds: float,
    stack: Any = None,
    log: Path | None = None,
) -> tuple[str, float]:
    """Return ``killed``, ``survived`` or ``timeout``, and the seconds it took."""
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            status = _in_child(module, path, code, tests, stack, log)
        except BaseException:
            status = 71
        finally:
            os._exit(status)
    ended = _wait(child, begun + seconds)
    # What the tests started goes with them.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    took = time.monotonic() - begun
    if ended is None:
        os.waitpid(child, 0)
        return "timeout", took
    return ("survived" if ended == 0 else "killed"), took


def _wait(child: int, until: float) -> int | None:
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


def _in_child(
    module: str, path: Path, code: str, tests: Sequence[str], stack: Any, log: Path | None
) -> int:
    output = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    ours = {*OURS, module.partition(".")[0]}
    for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
        del sys.modules[name]
    sys.meta_path.insert(0, Finder(module, path, compile(code, str(path), "exec")))
    if stack is not None:
        _share(stack)
    import pytest

    # Finding and importing every plugin there is takes longer than most tests.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    plugins = ["no:cacheprovider", "pytest_asyncio.plugin", "_hypothesis_pytestplugin"]
    options = ["-q", "-x", *(part for plugin in plugins for part in ("-p", plugin))]
    if stack is None and module.startswith("waybill."):
        # The fixtures there are for tests on real services, and import all of waybill.
        options.append("--noconftest")
    return int(pytest.main([*options, *tests]))


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
