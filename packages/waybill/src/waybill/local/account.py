"""Running PostgreSQL when waybill itself runs as root.

PostgreSQL refuses root. Creating a system user or opening up directories would change the machine
for good, so neither is done: PostgreSQL runs as ``nobody``, with its files owned by that account.
That account may not be able to walk to those files (a checkout below /root, a private temporary
directory); two measures make it work without a change to any directory above them:

- the server is started *inside* its data directory and told to use ``/proc/self/cwd``;
- the programs, which PostgreSQL looks up by their real path, are copied to a directory below
  /var/tmp that only root can write, once per version of the wheel.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from waybill.local.errors import NoUnprivilegedAccount

_CANDIDATES = ("nobody", "daemon")
_COPY_BASES = (Path("/var/tmp"), Path("/opt"))  # noqa: S108 (what lies there is checked)
_WORLD_READABLE = stat.S_IRGRP | stat.S_IROTH
_WORLD_EXECUTABLE = stat.S_IXGRP | stat.S_IXOTH


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """Whom to run PostgreSQL as; ``None`` for this process's own, ordinary, user.

    Raises:
        NoUnprivilegedAccount: this is root and the machine knows nobody else.
    """
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(name, entry.pw_uid, entry.pw_gid)
    raise NoUnprivilegedAccount(reason=f"none of the accounts {', '.join(_CANDIDATES)} exists")


def path_within_working_directory(directory: Path, account: Account | None) -> str:
    """How a process that runs in ``directory`` as ``account`` can name it.

    Args:
        directory: its working directory.
        account: whom it runs as; ``None`` for this process's own user.
    """
    if account is not None and Path("/proc/self/cwd").exists():
        return "/proc/self/cwd"
    return str(directory)


def executable_by(account: Account | None, program: Path, package: Path) -> Path:
    """Return a path of ``program`` that ``account`` can execute.

    Args:
        account: who is to run it; ``None`` for this process's own user.
        program: a file somewhere below ``package``.
        package: the wheel's package, copied as a whole when it has to be.

    Raises:
        NoUnprivilegedAccount: the account can execute neither the program nor a copy.
    """
    if account is None or _runs(account, program):
        return program
    reasons = []
    for base in _COPY_BASES:
        try:
            copy = _copy_package(package, base, program)
        except OSError as exc:
            reasons.append(f"{base}: {exc.strerror}")
            continue
        candidate = copy / program.relative_to(package.parent)
        if _runs(account, candidate):
            return candidate
        reasons.append(f"{base}: programs there do not run")
    raise NoUnprivilegedAccount(
        reason=f"account {account.name!r} can reach neither {program} nor a copy "
        f"({'; '.join(reasons)})"
    )


def _runs(account: Account, program: Path) -> bool:
    try:
        # S603: the program of our own wheel, or of a copy that only root can have written.
        result = subprocess.run(  # noqa: S603
            [str(program), "--version"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            user=account.uid,
            group=account.gid,
            extra_groups=(),
        )
    except OSError:
        return False
    return result.returncode == 0


def _copy_package(package: Path, base: Path, program: Path) -> Path:
    found = program.stat()
    identity = f"{program}:{found.st_size}:{found.st_mtime_ns}"
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()[:16]
    target = base / f"waybill-{package.name}-{fingerprint}"
    if not target.exists():
        draft = Path(tempfile.mkdtemp(prefix=".waybill-", dir=base))
        try:
            # Shared libraries lie beside the package, as auditwheel puts them.
            for source in (package, package.with_name(f"{package.name}.libs")):
                if source.is_dir():
                    shutil.copytree(
                        source,
                        draft / source.name,
                        symlinks=True,
                        ignore=shutil.ignore_patterns("include", "__pycache__"),
                    )
            _open_for_reading(draft)
            with contextlib.suppress(OSError):  # another process was faster
                draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    found = target.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        # Somebody else put it there. Never run it.
        raise PermissionError(0, f"{target} is not a directory that only root can write")
    return target


def _open_for_reading(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        if path.is_symlink():
            continue
        mode = stat.S_IMODE(path.stat().st_mode) & ~0o022 | _WORLD_READABLE
        if path.is_dir() or mode & stat.S_IXUSR:
            mode |= _WORLD_EXECUTABLE
        path.chmod(mode)
