"""``command``: a program whose exit code decides; run only when the caller allows it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from typing import ClassVar, Self

from adrkit.checks.context import CheckContext
from adrkit.checks.table import CheckTable
from adrkit.checks.verdict import CannotEvaluate, MissingEvidence, Outcome, passed, violated

_DEFAULT_TIMEOUT_SECONDS = 60.0
_MAX_TIMEOUT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class CommandCheck:
    """``run``: program and arguments, never a shell; ``exit-code`` (0), ``timeout-seconds`` (60).

    Runs in the project's root with the caller's environment.
    """

    run: tuple[str, ...]
    exit_code: int
    timeout_seconds: float

    kind: ClassVar[str] = "command"
    location_keys: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def read(cls, table: CheckTable) -> Self:
        if isinstance(table.values.get("run"), str):
            raise table.problem('`run` must be an array, ["program", "argument"]: no shell', "run")
        run, code = table.texts("run"), table.whole("exit-code", 0)
        timeout = table.find_number("timeout-seconds", above=0) or _DEFAULT_TIMEOUT_SECONDS
        if timeout > _MAX_TIMEOUT_SECONDS:
            raise table.problem("`timeout-seconds` is at most 3600", "timeout-seconds")
        return cls(run, code, timeout)

    @property
    def title(self) -> str:
        return " ".join(self.run)

    @property
    def paths(self) -> tuple[str, ...]:
        return ()

    def evaluate(self, context: CheckContext) -> Outcome:
        if context.commands != "allow":
            raise MissingEvidence(
                f"`{self.title}` was not run: allow it with --allow-commands, "
                "or leave commands out with --skip-commands"
            )
        try:
            process = subprocess.Popen(  # noqa: S603 - allowed by the caller, no shell
                self.run,
                cwd=context.files.root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise CannotEvaluate(f"`{self.run[0]}` cannot be run: {error.strerror}") from error
        try:
            output, _ = process.communicate(timeout=self.timeout_seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            return violated(f"`{self.title}` took more than {self.timeout_seconds:g} s")
        except BaseException:  # an interrupt must not leave it running
            _end(process)
            raise
        if process.returncode == self.exit_code:
            return passed(f"`{self.title}` ended with {self.exit_code}")
        last = output.decode("utf-8", "replace").strip().splitlines()[-1:]
        said = f": {last[0][:200]}" if last else ""
        return violated(
            f"`{self.title}` ended with {process.returncode}, must be {self.exit_code}{said}"
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command and whatever it started: its whole process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    if process.stdout is not None:
        process.stdout.close()  # not read to its end: a process that left the group may hold it
    process.wait()
