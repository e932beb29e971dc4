from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from adrkit.errors import FileChanged, RecordExists, RecoveryConflict, WriteFailed
from adrkit.transaction import JOURNAL, FileChange, apply_changes, recover

# A process that dies, as by SIGKILL, at the n-th call of a file operation of the protocol.
_KILLED = """
import os, pathlib, sys
from adrkit import transaction
limit, count = int(sys.argv[2]), 0
def dying(function):
    def call(*args, **kwargs):
        global count
        count += 1
        if count > limit:
            os.kill(os.getpid(), 9)
        return function(*args, **kwargs)
    return call
for owner, name in ((pathlib.Path, "replace"), (pathlib.Path, "unlink"), (os, "fsync")):
    setattr(owner, name, dying(getattr(owner, name)))
root = pathlib.Path(sys.argv[1])
transaction.apply_changes(root, [
    transaction.FileChange(root / "a.md", b"a1", b"a2"),
    transaction.FileChange(root / "b.md", b"b1", None),
    transaction.FileChange(root / "c.md", None, b"c2"),
])
print("done")
"""
_BEFORE = {"a.md": b"a1", "b.md": b"b1"}
_AFTER = {"a.md": b"a2", "c.md": b"c2"}


def contents(directory: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in directory.iterdir() if not p.name.startswith(".")}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
def test_process_killed_at_any_step_leaves_all_or_nothing(tmp_path: Path) -> None:
    outcomes = set()
    for step in range(40):
        directory = tmp_path / str(step)
        directory.mkdir()
        for name, content in _BEFORE.items():
            (directory / name).write_bytes(content)
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, str(directory), str(step)],
            capture_output=True, check=False, text=True,
        )  # fmt: skip
        recover(directory)
        found = contents(directory)
        assert found in (_BEFORE, _AFTER), f"torn after step {step}: {found}"
        assert not (directory / JOURNAL).exists()
        outcomes.add(found == _AFTER)
        if done.stdout.strip() == "done":
            break
        # Whatever was left over must not be in the way of the next change.
        apply_changes(directory, [FileChange(directory / "d.md", None, b"d")])
        assert [p.name for p in directory.iterdir() if p.name.startswith(".")] == []
    else:
        pytest.fail("the process never ran to its end")
    assert outcomes == {True, False}


def test_file_changed_meanwhile_is_refused_and_nothing_written(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"theirs")
    with pytest.raises(FileChanged):
        apply_changes(
            tmp_path,
            [
                FileChange(tmp_path / "n.md", None, b"new"),
                FileChange(tmp_path / "a.md", b"mine", b"x"),
            ],
        )
    assert contents(tmp_path) == {"a.md": b"theirs"}


def test_new_file_never_overwrites_an_existing_one(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"theirs")
    with pytest.raises(RecordExists):
        apply_changes(tmp_path, [FileChange(tmp_path / "a.md", None, b"x")])
    assert contents(tmp_path) == {"a.md": b"theirs"}


def test_recovery_refuses_to_overwrite_an_edit_made_since(tmp_path: Path) -> None:
    for name, content in _BEFORE.items():
        (tmp_path / name).write_bytes(content)
    step = 0
    while not (tmp_path / JOURNAL).exists():  # the first step after the commit point
        step += 1
        subprocess.run(
            [sys.executable, "-c", _KILLED, str(tmp_path), str(step)],
            capture_output=True, check=False,
        )  # fmt: skip
    (tmp_path / "b.md").write_bytes(b"edited by hand")
    with pytest.raises(RecoveryConflict, match=r"b\.md"):
        recover(tmp_path)
    assert (tmp_path / "b.md").read_bytes() == b"edited by hand"


def test_mode_and_symbolic_link_of_a_file_are_kept(tmp_path: Path) -> None:
    real = tmp_path / "real.md"
    real.write_bytes(b"1")
    real.chmod(0o640)
    link = tmp_path / "link.md"
    link.symlink_to(real)
    apply_changes(tmp_path, [FileChange(link, b"1", b"2")])
    assert link.is_symlink()
    assert real.read_bytes() == b"2"
    assert real.stat().st_mode & 0o777 == 0o640


def test_target_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"1")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WriteFailed):
        apply_changes(
            tmp_path,
            [
                FileChange(tmp_path / "a.md", b"1", b"2"),
                FileChange(tmp_path / "file" / "b.md", None, b"x"),
            ],
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.md", "file"]
    assert (tmp_path / "a.md").read_bytes() == b"1"
