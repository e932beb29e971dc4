"""Running PostgreSQL when waybill itself runs as root.

PostgreSQL refuses root. Creating a system user or opening up directories would change the machine
for good, so neither is done: the server runs under a number that no account of the machine has, and
that is this data directory's alone. An account such as ``nobody`` is shared: what others run under
it could read PostgreSQL's files and memory through /proc.

That number may not be able to walk to those files (a checkout below /root, a private temporary
directory); two measures make it work without a change to any directory above them:

- the server is started *inside* its data directory and told to use ``/proc/self/cwd``;
- the programs, which PostgreSQL looks up by their real path, are copied to a directory below
  /var/tmp that only root can write, once per version of the wheel.
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from waybill.local.errors import NoUnprivilegedAccount

_CANDIDATES = ("nobody", "daemon")
# Above the numbers that are given to people, services, users of containers and directory services
# (up to 2,147,483,647 without the special -1 and -2), and within 32 bits with a sign.
_NUMBERS = range(1_900_000_000, 2_100_000_000)
# Where a container maps few numbers: those that systemd's table of ranges leaves unused.
_FEW_NUMBERS = range(60_578, 61_184)
_LONGEST_SEARCH = 500
_COPY_BASES = (Path("/var/tmp"), Path("/opt"))  # noqa: S108 (what lies there is checked)
_WORLD_READABLE = stat.S_IRGRP | stat.S_IROTH
_WORLD_EXECUTABLE = stat.S_IXGRP | stat.S_IXOTH


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine, or a number that none has."""

    name: str
    uid: int
    gid: int


def unprivileged_account(directory: Path) -> Account | None:
    """Whom to run PostgreSQL as whose files are in ``directory``; ``None`` for this process's own,
    ordinary, user.

    The owner of the files, if that is somebody of our own making; else a number that follows from
    the directory's path and that no account and no process has.

    Raises:
        NoUnprivilegedAccount: this is root and may not become anybody else.
    """
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError):
        owner = directory.stat().st_uid
        if (owner in _NUMBERS or owner in _FEW_NUMBERS) and not _is_account(owner):
            return Account(f"uid {owner}", owner, owner)
    number = _free_number(directory)
    return Account(f"uid {number}", number, number)


def named_account() -> Account | None:
    """Whom to run what insists on an account with a name; ``None`` for this process's own user.

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


def _free_number(directory: Path) -> int:
    digest = hashlib.sha256(os.fsencode(directory.absolute())).digest()
    start = int.from_bytes(digest[:8], "big")
    numbers = _NUMBERS if all(map(_are_mapped, ("uid_map", "gid_map"))) else _FEW_NUMBERS
    for step in range(_LONGEST_SEARCH):
        number = numbers[(start + step) % len(numbers)]
        if not _is_account(number) and not _has_processes(number):
            return number
    raise NoUnprivilegedAccount(reason="no number of a user is free")


def _are_mapped(table: str) -> bool:
    """Whether this process's user namespace has ``_NUMBERS`` (user_namespaces(7))."""
    try:
        lines = Path("/proc/self", table).read_text(encoding="ascii").splitlines()
    except OSError:
        return True  # no namespaces
    extents = [tuple(map(int, line.split())) for line in lines]
    return any(
        first <= _NUMBERS.start and _NUMBERS.stop <= first + count for first, _, count in extents
    )


def _is_account(number: int) -> bool:
    for look_up in (pwd.getpwuid, grp.getgrgid):
        with contextlib.suppress(KeyError):
            look_up(number)
            return True
    return False


def _has_processes(number: int) -> bool:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if number in process.uids():
                return True
    return False


def give_to(account: Account | None, root: Path) -> None:
    """Make ``account`` the owner of ``root`` and all below it, links themselves included."""
    if account is None or root.stat().st_uid == account.uid:
        return
    # The root last: it is what says that all are done.
    for path in (*root.rglob("*"), root):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


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
