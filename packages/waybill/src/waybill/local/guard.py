"""No process outlives its parent: the guard, and the record for when even the guard is gone.

The guard is a small sibling process at the other end of a pipe. When the parent ends, ``kill -9``
included, the pipe closes and the guard stops what it was told to watch. Linux's
``PR_SET_PDEATHSIG`` would not do: it fires when the *thread* that started a child ends, it is
inherited by no grandchild, and macOS has nothing like it.

Should a new start come while the guard of a killed predecessor is still at work, it waits for it.
If parent and guard are both killed (the machine's memory ran out, a container was stopped hard),
the record in the data directory names what was left, and the next start stops it first.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from waybill.local.errors import LocalStackError
from waybill.local.process_tree import ProcessIdentity, ProcessTree
from waybill.private_files import write_private

_GUARD_PROGRAM = Path(__file__).with_name("_guard_main.py")
_LONGEST_GRACE_SECONDS = 5.0
_GUARD_EXIT_SECONDS = 10.0


class ProcessGuard:
    """Watches processes on behalf of this one.

    Args:
        record_path: the file in which running processes are recorded.
    """

    def __init__(self, record_path: Path) -> None:
        self._record_path = record_path
        self._lock = threading.Lock()
        self._guard: subprocess.Popen[bytes] | None = None
        self._record: dict[int, dict[str, object]] = {}

    def start(self) -> None:
        """Stop what an earlier run left behind, then stand guard."""
        self._stop_leftovers()
        # S603: our own interpreter and file.
        self._guard = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", str(_GUARD_PROGRAM), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Out of the terminal's process group: Ctrl-C is for the parent to answer.
            start_new_session=True,
        )
        self._write_record()

    @property
    def pid(self) -> int | None:
        """The guard's own process id, or ``None`` when it does not run."""
        return None if self._guard is None else self._guard.pid

    def watch(
        self,
        pid: int,
        *,
        name: str,
        stop_signal: signal.Signals,
        grace_seconds: float,
        remove: Sequence[Path] = (),
    ) -> None:
        """Have the process group ``pid`` stopped when this process ends.

        Args:
            pid: a process that leads its own process group.
            name: what to call it in the record.
            stop_signal: what to ask it with before it is killed.
            grace_seconds: how long it has to comply, 5 s at most: nobody waits for a result any
                more, but somebody may want to start again.
            remove: files that it leaves behind when killed.
        """
        identity = ProcessIdentity.of(pid)
        entry = {
            "pid": pid,
            "stop_signal": int(stop_signal),
            "grace_seconds": min(grace_seconds, _LONGEST_GRACE_SECONDS),
            "remove": [str(path) for path in remove],
        }
        with self._lock:
            self._tell(watch=True, **entry)
            self._record[pid] = {"name": name, "created": identity.created, **entry}
            self._write_record()

    def forget(self, pid: int) -> None:
        """Stop watching ``pid``, because it ended."""
        with self._lock:
            with contextlib.suppress(LocalStackError):
                self._tell(watch=False, pid=pid)
            self._record.pop(pid, None)
            self._write_record()

    def close(self) -> None:
        """Stand down. What is still watched is stopped, as if this process had ended."""
        if self._guard is None:
            return
        assert self._guard.stdin is not None  # noqa: S101 (started with a pipe)
        with contextlib.suppress(BrokenPipeError):
            self._guard.stdin.close()
        try:
            self._guard.wait(_GUARD_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        self._guard = None

    def _tell(self, **message: object) -> None:
        if self._guard is None or self._guard.stdin is None:
            raise LocalStackError("The process guard does not run. Call start() first.")
        try:
            self._guard.stdin.write(json.dumps(message).encode() + b"\n")
            self._guard.stdin.flush()
        except (BrokenPipeError, ValueError) as exc:
            raise LocalStackError(
                "The process guard was killed, so child processes could outlive this one. "
                "Stop the stack and start it again."
            ) from exc

    def _write_record(self) -> None:
        guard = None if self._guard is None else asdict(ProcessIdentity.of(self._guard.pid))
        content = {"guard": guard, "processes": list(self._record.values())}
        write_private(self._record_path, json.dumps(content, indent=2))

    def _stop_leftovers(self) -> None:
        try:
            record = json.loads(self._record_path.read_text())
            before = record["guard"] and ProcessIdentity(**record["guard"])
            leftovers = [_Leftover.of(entry) for entry in record["processes"]]
        except (OSError, ValueError, TypeError, KeyError):
            return  # no record, or none of ours: there is nothing to act on
        guard = before and ProcessTree.of(before)
        if guard and not guard.wait_gone(_GUARD_EXIT_SECONDS):
            guard.kill()
        trees = [(leftover, ProcessTree.of(leftover.identity)) for leftover in leftovers]
        for leftover, tree in trees:
            if tree is not None:
                tree.signal_root(leftover.stop_signal)
                tree.signal_all(signal.SIGCONT)
        for leftover, tree in trees:
            if tree is not None and not tree.wait_gone(leftover.grace_seconds):
                tree.kill()
            for path in leftover.remove:
                path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Leftover:
    """An entry of the record of an earlier run."""

    identity: ProcessIdentity
    stop_signal: signal.Signals
    grace_seconds: float
    remove: tuple[Path, ...]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        return cls(
            ProcessIdentity(int(entry["pid"]), float(entry["created"])),
            signal.Signals(entry["stop_signal"]),
            float(entry["grace_seconds"]),
            tuple(Path(path) for path in entry["remove"]),
        )
