"""A supervised child process: log file, readiness, an orderly end, and none left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from waybill.local.account import Account
from waybill.local.errors import LocalStackError, ServiceExited, ServiceNotReady, StartAborted
from waybill.local.guard import ProcessGuard
from waybill.local.process_tree import ProcessIdentity, ProcessTree

Probe = Callable[[], str | None]
"""Says what is still missing, or ``None`` once the process is ready."""

_POLL_SECONDS = 0.02
_LOG_TAIL_LINES = 20
_LOG_TAIL_BYTES = 16 * 1024
_LOG_ROTATE_BYTES = 5 * 1024 * 1024

# The child waits here until the guard knows of it. Killed before that, the parent closes the
# pipe, `read` fails and the program never starts: there is no moment without a guard.
_GATE = 'IFS= read -r _ || exit 125; exec "$@" </dev/null'


class SupervisedProcess:
    """One child process in a session of its own.

    Args:
        name: what to call it in messages.
        command: program and arguments; the program by its path.
        log_path: the file that gets its standard output and error, appended.
        guard: who stops it when this process dies.
        cwd: its working directory.
        env: its whole environment; this process's own when ``None``.
        account: whom to run it as; this process's own user when ``None``.
        stop_signal: what asks it to end.
        grace_seconds: how long it has to end before it is killed.
        remove: files that it leaves behind when killed.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log_path: Path,
        guard: ProcessGuard,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        account: Account | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_seconds: float = 10.0,
        remove: Sequence[Path] = (),
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._command = [str(part) for part in command]
        self._guard = guard
        self._cwd = cwd
        self._env = dict(os.environ if env is None else env)
        self._account = account
        self._stop_signal = stop_signal
        self._grace_seconds = grace_seconds
        self._remove = tuple(remove)
        self._popen: subprocess.Popen[bytes] | None = None
        self._identity: ProcessIdentity | None = None
        self._log_start = 0
        # One thread may stop what another is waiting for.
        self._ending = threading.Lock()

    # -- what it is ---------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            LocalStackError: it does not run.
        """
        if self._popen is None:
            raise LocalStackError(f"{self.name} does not run.")
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal; ``None`` while it runs or before a start."""
        return None if self._popen is None else self._popen.poll()

    def log_text(self) -> str:
        """What it has written since its last start, at most the last 16 KiB."""
        try:
            with self.log_path.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, size - _LOG_TAIL_BYTES))
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def log_tail(self) -> str:
        """The last 20 lines it has written since its last start."""
        return "\n".join(self.log_text().splitlines()[-_LOG_TAIL_LINES:])

    # -- start --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it; it need not be ready when this returns.

        Raises:
            LocalStackError: it runs already, or there is no guard.
        """
        if self.is_running:
            raise LocalStackError(f"{self.name} runs already, as process {self.pid}.")
        log = self._open_log()
        try:
            account = self._account
            # S603: the command is made of paths found in wheels and of our own arguments.
            popen = subprocess.Popen(  # noqa: S603
                ["/bin/sh", "-c", _GATE, f"waybill-{self.name}", *self._command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env=self._env,
                start_new_session=True,
                umask=0o077,
                user=None if account is None else account.uid,
                group=None if account is None else account.gid,
                extra_groups=None if account is None else (),
            )
        finally:
            os.close(log)
        self._popen = popen
        self._identity = ProcessIdentity.of(popen.pid)
        assert popen.stdin is not None  # noqa: S101 (started with a pipe)
        try:
            self._guard.watch(
                popen.pid,
                name=self.name,
                stop_signal=self._stop_signal,
                grace_seconds=self._grace_seconds,
                remove=self._remove,
            )
            with contextlib.suppress(BrokenPipeError):  # it ended; whoever waits will see
                popen.stdin.write(b"go\n")
                popen.stdin.flush()
        except BaseException:
            popen.kill()
            popen.wait()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                popen.stdin.close()

    def _open_log(self) -> int:
        self.log_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            if self.log_path.stat().st_size > _LOG_ROTATE_BYTES:
                self.log_path.replace(self.log_path.with_suffix(".log.1"))
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._log_start = os.fstat(log).st_size
        return log

    def wait_until_ready(
        self,
        probe: Probe,
        *,
        deadline_seconds: float,
        abort: threading.Event | None = None,
    ) -> None:
        """Ask ``probe`` until it is content.

        Raises:
            ServiceExited: the process ended first.
            ServiceNotReady: ``deadline_seconds`` went by.
            StartAborted: ``abort`` was set.
        """
        deadline = time.monotonic() + deadline_seconds
        while True:
            self.raise_if_exited()
            if abort is not None and abort.is_set():
                raise StartAborted(self.name)
            missing = probe()
            if missing is None:
                return
            if time.monotonic() >= deadline:
                raise ServiceNotReady(
                    service=self.name,
                    deadline_seconds=deadline_seconds,
                    missing=missing,
                    log_path=self.log_path,
                    log_tail=self.log_tail(),
                )
            time.sleep(_POLL_SECONDS)

    def run_to_completion(
        self, *, deadline_seconds: float, abort: threading.Event | None = None
    ) -> None:
        """Start it and wait until it has ended well.

        Raises:
            ServiceExited: it ended with another status than 0.
            ServiceNotReady: it still ran after ``deadline_seconds``, and was killed.
            StartAborted: ``abort`` was set, and it was killed.
        """
        self.start()
        try:
            self.wait_until_ready(
                lambda: None if self.returncode == 0 else "still running",
                deadline_seconds=deadline_seconds,
                abort=abort,
            )
        except ServiceExited as exc:
            if exc.returncode != 0:
                raise
        finally:
            self.kill()

    def raise_if_exited(self) -> None:
        """Raise if the process has ended.

        Raises:
            ServiceExited: it did.
        """
        returncode = self.returncode
        if returncode is not None:
            raise ServiceExited(
                service=self.name,
                returncode=returncode,
                log_path=self.log_path,
                log_tail=self.log_tail(),
            )

    # -- end ----------------------------------------------------------------------------------

    def stop(self, grace_seconds: float | None = None) -> None:
        """Ask it to end, wait, and kill what is left of it and its descendants.

        Harmless when it does not run.

        Args:
            grace_seconds: how long it has; what it was made with when ``None``.
        """
        grace = self._grace_seconds if grace_seconds is None else grace_seconds
        with self._ending:
            if self._popen is None:
                return
            tree = self._tree()
            if tree is not None:
                tree.signal_root(self._stop_signal)
                tree.signal_all(signal.SIGCONT)  # a paused process cannot obey
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._popen.wait(grace)
            self._end(tree)

    def kill(self) -> None:
        """Kill it and its descendants at once. Harmless when it does not run."""
        with self._ending:
            if self._popen is not None:
                self._end(self._tree())

    def _tree(self) -> ProcessTree | None:
        return None if self._identity is None else ProcessTree.of(self._identity)

    def _end(self, tree: ProcessTree | None) -> None:
        assert self._popen is not None  # noqa: S101 (both callers looked)
        # The group catches children that were born after the tree was taken. macOS answers
        # PermissionError for a group of zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        if tree is not None:
            tree.kill()
        self._guard.forget(self._popen.pid)
        for path in self._remove:
            path.unlink(missing_ok=True)

    # -- faults on purpose --------------------------------------------------------------------

    def pause(self) -> None:
        """Freeze it and its descendants (SIGSTOP)."""
        tree = self._tree()
        if tree is None:
            raise LocalStackError(f"{self.name} does not run, so it cannot be paused.")
        tree.signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it and its descendants go on (SIGCONT)."""
        tree = self._tree()
        if tree is not None:
            tree.signal_all(signal.SIGCONT)
