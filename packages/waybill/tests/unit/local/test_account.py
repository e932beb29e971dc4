from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

from waybill.local import account
from waybill.local.account import Account, executable_by, give_to, unprivileged_account
from waybill.local.errors import NoUnprivilegedAccount

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run as somebody else")


@pytest.fixture
def copies(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where copies go in the test: a directory everybody can enter."""
    base = Path("/var/tmp") / f"waybill-test-{os.getpid()}-{tmp_path_factory.mktemp('c').name}"
    base.mkdir(mode=0o755)
    monkeypatch.setattr(account, "_COPY_BASES", (base,))
    return base


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A wheel's package in a place that only root can enter."""
    package = tmp_path / "private" / "server"
    (package / "bin").mkdir(parents=True)
    (tmp_path / "private").chmod(0o700)
    program = package / "bin" / "serve"
    program.write_text("#!/bin/sh\nid -u\n")
    program.chmod(0o700)
    return package


def test_ordinary_user_runs_the_program_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert unprivileged_account(Path("/anywhere")) is None
    program = Path("/anywhere/at/all")
    assert executable_by(None, program, program.parent) == program


def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_each_directory_has_a_number_of_its_own_that_is_no_accounts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_root(monkeypatch)
    found = [unprivileged_account(tmp_path / name) for name in ("a", "b", "a")]
    assert found[0] == found[2] != found[1]
    taken = {entry.pw_uid for entry in pwd.getpwall()} | {e.gr_gid for e in grp.getgrall()}
    for each in found:
        assert each is not None
        assert each.uid == each.gid
        assert each.uid not in taken


@pytest.mark.parametrize("taken_by", ["_is_account", "_has_processes"])
def test_number_that_somebody_has_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, taken_by: str
) -> None:
    as_root(monkeypatch)
    first = unprivileged_account(tmp_path / "a")
    assert first is not None
    monkeypatch.setattr(account, taken_by, lambda number: number == first.uid)
    other = unprivileged_account(tmp_path / "a")
    assert other is not None
    assert other.uid != first.uid


def test_container_that_maps_few_numbers_gets_one_of_these(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_root(monkeypatch)
    monkeypatch.setattr(account, "_are_mapped", lambda table: table == "gid_map")
    found = unprivileged_account(tmp_path / "a")
    assert found is not None
    assert 60_577 < found.uid < 61_184


def test_root_without_any_free_number_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_root(monkeypatch)
    monkeypatch.setattr(account, "_is_account", lambda _: True)
    with pytest.raises(NoUnprivilegedAccount, match="ordinary user"):
        unprivileged_account(tmp_path)


@needs_root
def test_owner_of_the_files_stays_and_files_of_nobody_are_taken_from_nobody(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    (data / "base").mkdir(parents=True)
    (data / "base" / "link").symlink_to("/etc/hostname")
    before = Path("/etc/hostname").stat().st_uid
    for path in (data / "base" / "link", data / "base", data):
        os.chown(path, 65_534, 65_534, follow_symlinks=False)
    ours = unprivileged_account(data)
    assert ours is not None
    give_to(ours, data)
    assert {path.lstat().st_uid for path in (data, *data.rglob("*"))} == {ours.uid}
    assert Path("/etc/hostname").stat().st_uid == before
    moved = data.rename(tmp_path / "moved")  # its path says another number now
    assert unprivileged_account(moved) == ours


@needs_root
def test_program_out_of_reach_is_copied_to_where_only_root_can_write(
    package: Path, copies: Path
) -> None:
    somebody = unprivileged_account(package)
    assert somebody is not None
    program = executable_by(somebody, package / "bin" / "serve", package)
    try:
        assert program.is_relative_to(copies)
        for path in (program, *list(program.parents)[:3]):
            assert path.stat().st_uid == 0
            assert path.stat().st_mode & 0o022 == 0
        output = subprocess.run(
            [str(program)], user=somebody.uid, capture_output=True, check=True, text=True, cwd="/"
        ).stdout
        assert int(output) == somebody.uid
        assert executable_by(somebody, package / "bin" / "serve", package) == program
        assert len(list(copies.iterdir())) == 1  # the second call found it; no drafts stay
    finally:
        shutil.rmtree(copies)


@needs_root
def test_copy_planted_by_somebody_else_is_never_run(package: Path, copies: Path) -> None:
    somebody = unprivileged_account(package)
    assert somebody is not None
    program = executable_by(somebody, package / "bin" / "serve", package)
    planted = next(copies.iterdir())
    os.chown(planted, somebody.uid, somebody.gid)
    try:
        with pytest.raises(NoUnprivilegedAccount, match="only root can write"):
            executable_by(somebody, package / "bin" / "serve", package)
    finally:
        shutil.rmtree(copies)
    assert not program.exists()


@needs_root
def test_program_within_reach_is_used_where_it_is() -> None:
    shell = Path("/bin/true")
    assert executable_by(Account("nobody", 65534, 65534), shell, shell.parent) == shell
