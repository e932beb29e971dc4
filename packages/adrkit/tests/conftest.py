from __future__ import annotations

import functools
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.testing

from adrkit.testing import GitProject

REPOSITORY = Path(__file__).parents[3]
CORPORA = REPOSITORY.parent / "shared" / "data" / "adr-corpora.tar.gz"

# Typer builds the whole application anew for every call (a tenth of a second); the tests call it
# hundreds of times.
typer.testing._get_command = functools.cache(typer.testing._get_command)


@pytest.fixture
def project(tmp_path: Path) -> GitProject:
    return GitProject(tmp_path / "project")


@pytest.fixture
def write_record(tmp_path: Path) -> Callable[..., Path]:
    """Writes records into one directory without git."""
    directory = tmp_path / "records"
    directory.mkdir()

    def write(name: str, content: str | bytes) -> Path:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """170 real records of three projects, unpacked into a temporary directory."""
    if not CORPORA.exists():
        pytest.skip(f"the record corpora are not there: {CORPORA}")
    directory = tmp_path_factory.mktemp("corpora")
    with tarfile.open(CORPORA) as archive:
        # Python before 3.11.4 has no filters.
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(directory, **safely)  # type: ignore[arg-type]  # noqa: S202
    return directory
