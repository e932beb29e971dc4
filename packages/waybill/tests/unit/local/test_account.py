from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from waybill.local import account
from waybill.local.account import Account, executable_by, unprivileged_account
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
    assert unprivileged_account() is None
    program = Path("/anywhere/at/all")
    assert executable_by(None, program, program.parent) == program


def test_root_without_any_other_account_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(account, "_CANDIDATES", ("no-such-account",))
    with pytest.raises(NoUnprivilegedAccount, match="ordinary user"):
        unprivileged_account()


@needs_root
def test_program_out_of_reach_is_copied_to_where_only_root_can_write(
    package: Path, copies: Path
) -> None:
    nobody = unprivileged_account()
    assert nobody is not None
    program = executable_by(nobody, package / "bin" / "serve", package)
    try:
        assert program.is_relative_to(copies)
        for path in (program, *list(program.parents)[:3]):
            assert path.stat().st_uid == 0
            assert path.stat().st_mode & 0o022 == 0
        output = subprocess.run(
            [str(program)], user=nobody.uid, capture_output=True, check=True, text=True, cwd="/"
        ).stdout
        assert int(output) == nobody.uid
        assert executable_by(nobody, package / "bin" / "serve", package) == program
        assert len(list(copies.iterdir())) == 1  # the second call found it; no drafts stay
    finally:
        shutil.rmtree(copies)


@needs_root
def test_copy_planted_by_somebody_else_is_never_run(package: Path, copies: Path) -> None:
    nobody = unprivileged_account()
    assert nobody is not None
    program = executable_by(nobody, package / "bin" / "serve", package)
    planted = next(copies.iterdir())
    os.chown(planted, nobody.uid, nobody.gid)
    try:
        with pytest.raises(NoUnprivilegedAccount, match="only root can write"):
            executable_by(nobody, package / "bin" / "serve", package)
    finally:
        shutil.rmtree(copies)
    assert not program.exists()


@needs_root
def test_program_within_reach_is_used_where_it_is() -> None:
    shell = Path("/bin/true")
    assert executable_by(Account("nobody", 65534, 65534), shell, shell.parent) == shell
