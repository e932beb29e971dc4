"""The data directory of a stack: locked, private, and everything that outlives a run."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import stat
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from waybill.local.errors import DataDirectoryUnusable, StackInUse
from waybill.private_files import write_private

_SECRET_BYTES = 24


def _secret() -> str:
    # Hexadecimal: needs no escaping in URLs, configuration files or JSON.
    return secrets.token_hex(_SECRET_BYTES)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The passwords and keys of a stack, made at its first start."""

    postgres_password: str = field(default_factory=_secret, repr=False)
    redis_password: str = field(default_factory=_secret, repr=False)
    s3_access_key: str = field(default_factory=lambda: f"waybill{secrets.token_hex(6)}")
    s3_secret_key: str = field(default_factory=_secret, repr=False)
    seaweedfs_signing_key: str = field(default_factory=_secret, repr=False)


class DataDirectory:
    """One stack's directory, held by at most one process.

    Args:
        path: where it is or shall be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self._lock: int | None = None

    @property
    def logs(self) -> Path:
        """Where the processes' logs go."""
        return self.path / "logs"

    @property
    def ports(self) -> Path:
        """The file that remembers which service has which port."""
        return self.path / "ports.json"

    @property
    def processes(self) -> Path:
        """The record of running processes."""
        return self.path / "processes.json"

    def acquire(self) -> None:
        """Make the directory if need be and take its lock.

        Raises:
            StackInUse: another stack holds it.
            DataDirectoryUnusable: it cannot be made, written or locked, or is somebody else's.
        """
        remedy = "Choose another directory with --data-dir."
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            owner = self.path.stat().st_uid
            if owner != os.geteuid():
                raise DataDirectoryUnusable(
                    path=self.path,
                    reason=f"it belongs to user id {owner} and this process runs as {os.geteuid()}",
                    remedy="Run waybill as its owner, remove it, or choose another with "
                    "--data-dir.",
                )
            self._close_to_others()
            self._take_lock()
            self.logs.mkdir(exist_ok=True, mode=0o700)
            # Nothing in here belongs into version control, wherever the directory was put.
            (self.path / ".gitignore").write_text("*\n")
        except OSError as exc:
            self.release()
            raise DataDirectoryUnusable(
                path=self.path, reason=(exc.strerror or str(exc)).lower(), remedy=remedy
            ) from exc

    def _close_to_others(self) -> None:
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if not mode & 0o077:
            return
        # Never of a directory that somebody uses for something else: /tmp, a home.
        is_ours = (self.path / "lock").is_file() or not any(self.path.iterdir())
        if not is_ours:
            raise DataDirectoryUnusable(
                path=self.path,
                reason=f"other users can look into it (mode {mode:04o})",
                remedy="Run chmod 700 on it, or choose another directory with --data-dir.",
            )
        self.path.chmod(0o700)

    def _take_lock(self) -> None:
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # The kernel gives it back when this process ends, so a crash leaves no stale lock.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.read(lock, 32).strip()
            os.close(lock)
            raise StackInUse(
                data_dir=self.path, pid=int(holder) if holder.isdigit() else None
            ) from exc
        except BaseException:
            os.close(lock)
            raise
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def release(self) -> None:
        """Give the lock back. Harmless when it is not held."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def credentials(self) -> Credentials:
        """The stack's credentials; made and kept at the first call.

        Raises:
            DataDirectoryUnusable: the file that keeps them is damaged.
        """
        path = self.path / "credentials.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            known = {item.name for item in fields(Credentials)}
            return Credentials(**{k: str(v) for k, v in content.items() if k in known})
        except FileNotFoundError:
            made = Credentials()
            write_private(path, json.dumps(asdict(made), indent=2))
            return made
        except (OSError, ValueError, AttributeError) as exc:
            raise DataDirectoryUnusable(
                path=path,
                reason="it does not hold credentials as waybill writes them",
                remedy=f"Remove {self.path} to start afresh; its data cannot be opened without.",
            ) from exc
