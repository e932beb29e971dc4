from __future__ import annotations

import os
from pathlib import Path

import pytest

from waybill.client.download import PartFile
from waybill.private_files import private_opener, write_private


@pytest.fixture(autouse=True)
def _open_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_private_file_is_private_whatever_the_umask_and_replaces_a_public_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    assert mode_of(path) == 0o666
    write_private(path, "new")
    assert (path.read_text(), mode_of(path)) == ("new", 0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "\ud800")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_download_is_private_from_its_first_byte_to_its_last(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "users.csv.part", 100)
    assert mode_of(part.path) == 0o600
    part.write(b"x")
    part.finish(tmp_path / "users.csv")
    assert mode_of(tmp_path / "users.csv") == 0o600


def test_download_that_goes_on_closes_a_part_that_others_could_read(tmp_path: Path) -> None:
    path = tmp_path / "users.csv.part"
    path.write_bytes(b"abc")
    part = PartFile(path, 100)
    assert (part.size, mode_of(path)) == (3, 0o600)
    part.close()


def test_link_in_the_place_of_a_part_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "users.csv.part").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        PartFile(tmp_path / "users.csv.part", 100)
    assert victim.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's file")
def test_part_of_another_user_is_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "users.csv.part"
    path.write_text("")
    os.chown(path, 65_533, 65_533)
    with pytest.raises(PermissionError, match="another user"):
        open(path, "ab", opener=private_opener)  # noqa: SIM115
