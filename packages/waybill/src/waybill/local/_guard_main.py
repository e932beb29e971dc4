"""The guard's own program: stops the processes it was told of when its parent is gone.

Run as a script with the standard library alone (``python -I -S``), so that it starts in
milliseconds and holds little memory. It reads JSON lines from standard input; the end of that
stream, or a new parent process, means that the parent ended, however that came about.
"""

import contextlib
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

_PARENT_CHECK_SECONDS = 1.0
_POLL_SECONDS = 0.02


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group of zombies
        return False
    return True


def _send(pid: int, number: int, *, whole_group: bool = False) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if whole_group:
            os.killpg(pid, number)
        elif os.getpgid(pid) == pid:  # a group leader: not a stranger with a reused number
            os.kill(pid, number)


def _stop_all(watched: dict[int, dict[str, Any]]) -> None:
    for pid, entry in watched.items():
        _send(pid, entry["stop_signal"])
        _send(pid, signal.SIGCONT)
    started = time.monotonic()
    left = dict(watched)
    while left:
        waited = time.monotonic() - started
        for pid, entry in list(left.items()):
            if _exists(pid):
                if waited < entry["grace_seconds"]:
                    continue
                _send(pid, signal.SIGKILL, whole_group=True)
            for path in entry["remove"]:
                with contextlib.suppress(OSError):
                    Path(path).unlink()
            del left[pid]
        time.sleep(_POLL_SECONDS)


def _read_messages(
    watched: dict[int, dict[str, Any]], buffer: bytes, timeout_seconds: float
) -> bytes | None:
    """Take in what the parent wrote; return the unfinished line, or None at the stream's end."""
    if not select.select([0], [], [], timeout_seconds)[0]:
        return buffer
    chunk = os.read(0, 65536)
    if not chunk:
        return None
    *lines, rest = (buffer + chunk).split(b"\n")
    for line in lines:
        message = json.loads(line)
        if message.pop("watch"):
            watched[message["pid"]] = message
        else:
            watched.pop(message["pid"], None)
    return rest


def main() -> None:
    parent = int(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    watched: dict[int, dict[str, Any]] = {}
    buffer: bytes | None = b""
    while buffer is not None:
        # A copy of the parent made by fork may hold the stream open after the parent's death.
        orphaned = os.getppid() != parent
        before = buffer
        buffer = _read_messages(watched, buffer, 0 if orphaned else _PARENT_CHECK_SECONDS)
        if orphaned and buffer == before:
            break
    _stop_all(watched)


if __name__ == "__main__":
    main()
