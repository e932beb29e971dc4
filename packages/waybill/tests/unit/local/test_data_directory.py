from __future__ import annotations

import os
from pathlib import Path

import pytest

from waybill.local.data_directory import Credentials, DataDirectory
from waybill.local.errors import DataDirectoryUnusable, StackInUse


def test_made_private_and_out_of_version_control(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "deep" / "stack")
    directory.acquire()
    assert directory.path.stat().st_mode & 0o077 == 0
    assert (directory.path / ".gitignore").read_text() == "*\n"
    directory.release()


def test_held_directory_names_its_holder(tmp_path: Path) -> None:
    first, second = DataDirectory(tmp_path), DataDirectory(tmp_path)
    first.acquire()
    with pytest.raises(StackInUse) as caught:
        second.acquire()
    assert caught.value.pid == os.getpid()
    assert caught.value.data_dir == tmp_path
    first.release()
    second.acquire()
    second.release()


def test_stale_lock_file_of_a_dead_process_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("4194304\n")
    directory = DataDirectory(tmp_path)
    directory.acquire()
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    directory.release()


def test_released_twice_is_harmless(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    directory.acquire()
    directory.release()
    directory.release()


def test_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirectoryUnusable, match="--data-dir"):
        DataDirectory(tmp_path / "file").acquire()


def test_directory_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    with pytest.raises(DataDirectoryUnusable, match="Run waybill as its owner"):
        DataDirectory(tmp_path).acquire()


def test_credentials_stay_the_same_and_private(tmp_path: Path) -> None:
    made = DataDirectory(tmp_path).credentials()
    assert DataDirectory(tmp_path).credentials() == made
    assert (tmp_path / "credentials.json").stat().st_mode & 0o077 == 0


def test_credentials_of_two_directories_differ_in_every_part(tmp_path: Path) -> None:
    one, two = Credentials(), Credentials()
    for name in Credentials.__slots__:
        assert getattr(one, name) != getattr(two, name)


def test_credentials_print_without_secrets() -> None:
    made = Credentials()
    for name in Credentials.__slots__:
        if name != "s3_access_key":
            assert getattr(made, name) not in repr(made)


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"'])
def test_damaged_credentials_are_refused_with_the_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / "credentials.json").write_text(content)
    with pytest.raises(DataDirectoryUnusable, match="start afresh"):
        DataDirectory(tmp_path).credentials()
    assert (tmp_path / "credentials.json").read_text() == content


def test_directory_of_ours_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "data"
    for _ in range(2):  # new and empty, then one of ours that was opened
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
        directory = DataDirectory(path)
        directory.acquire()
        directory.release()
        assert path.stat().st_mode & 0o077 == 0


def test_open_directory_that_is_used_for_something_else_is_refused_and_left_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "home"
    path.mkdir()
    path.chmod(0o755)
    (path / "letter.txt").write_text("x")
    with pytest.raises(DataDirectoryUnusable, match="chmod 700"):
        DataDirectory(path).acquire()
    assert path.stat().st_mode & 0o777 == 0o755
    assert [each.name for each in path.iterdir()] == ["letter.txt"]
