from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adrkit.errors import FileChanged, PathOutside, RecordExists, RollbackFailed, WriteFailed
from adrkit.transaction import FileChange, apply_changes, is_left_over, write_atomically

_BEFORE = {"a.md": b"a1", "b.md": b"b1"}
_AFTER = {"a.md": b"a2", "c.md": b"c2"}


def changes(directory: Path) -> list[FileChange]:
    return [
        FileChange(directory / "a.md", b"a1", b"a2"),
        FileChange(directory / "c.md", None, b"c2"),
        FileChange(directory / "b.md", b"b1", None),
    ]


def planted(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in _BEFORE.items():
        (directory / name).write_bytes(content)
    return directory


def contents(directory: Path, *, hidden: bool = False) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in directory.iterdir()
        if path.is_file() and (hidden or not path.name.startswith("."))
    }


def test_all_changes_are_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    apply_changes(planted(tmp_path), changes(tmp_path))
    assert contents(tmp_path, hidden=True) == _AFTER


# --- a failure at any step changes nothing -----------------------------------------------------

_STEPS = ((Path, "replace"), (Path, "unlink"), (Path, "open"), (Path, "hardlink_to"), (os, "fsync"))


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, BaseException], list[int]]]:
    """Makes the n-th file operation fail; the list counts the operations."""
    with monkeypatch.context() as patch:

        def at(step: int, error: BaseException) -> list[int]:
            counted = [0]

            def failing_once(function: Callable[..., object]) -> Callable[..., object]:
                def call(*args: object, **kwargs: object) -> object:
                    counted[0] += 1
                    if counted[0] == step:
                        raise error
                    return function(*args, **kwargs)

                return call

            patch.undo()
            for owner, name in _STEPS:
                patch.setattr(owner, name, failing_once(getattr(owner, name)))
            return counted

        yield at


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_at_any_step_leaves_the_files_as_they_were(
    tmp_path: Path, failing: Callable[[int, BaseException], list[int]], error: BaseException
) -> None:
    failures = 0
    for step in range(1, 80):
        directory = planted(tmp_path / str(step))
        counted = failing(step, error)
        failed = False
        try:
            apply_changes(directory, changes(directory))
        except (WriteFailed, KeyboardInterrupt):
            failed = True
        steps = counted[0]
        failing(10_000, error)  # from here on nothing fails
        if steps < step:
            break
        failures += failed
        # Without an error it failed to link (then it copies), or to tidy up when all was done;
        # an interrupt may come then, too.
        states = [_BEFORE] if failed else [_AFTER]
        if isinstance(error, KeyboardInterrupt):
            states = [_BEFORE, _AFTER]
        assert contents(directory) in states, f"step {step}"
        # What is left over is in nobody's way.
        apply_changes(directory, [FileChange(directory / "d.md", None, b"d")])
        assert not [name for name in contents(directory, hidden=True) if name.startswith(".")]
    else:
        pytest.fail("the change never ran to its end")
    assert failures > 10


def test_failed_rollback_says_which_file_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(tmp_path)
    replace, count = Path.replace, [0]

    def failing_from_the_second(self: Path, target: Path) -> Path:
        count[0] += 1
        if count[0] > 1:
            raise OSError(30, "Read-only file system")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing_from_the_second)
    with pytest.raises(RollbackFailed, match=r"a\.md could not be put back: Read-only"):
        apply_changes(tmp_path, changes(tmp_path))


_KILLED = """
import os, pathlib, sys
sys.path.insert(0, sys.argv[3])
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
    transaction.FileChange(root / "c.md", None, b"c2"),
    transaction.FileChange(root / "b.md", b"b1", None),
])
print("done")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
def test_process_killed_at_any_step_leaves_whole_files_in_the_order_of_the_changes(
    tmp_path: Path,
) -> None:
    states = [
        _BEFORE, {**_BEFORE, "a.md": b"a2"}, {**_BEFORE, "a.md": b"a2", "c.md": b"c2"}, _AFTER,
    ]  # fmt: skip
    source = str(Path(sys.modules["adrkit"].__file__ or "").parents[1])
    found = []
    for step in range(40):
        directory = planted(tmp_path / str(step))
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, str(directory), str(step), source],
            capture_output=True, check=False, text=True,
        )  # fmt: skip
        found.append(states.index(contents(directory)))
        # The next change drops what was left over, and nothing is applied late.
        apply_changes(directory, [FileChange(directory / "d.md", None, b"d")])
        assert contents(directory, hidden=True) == {**states[found[-1]], "d.md": b"d"}
        if done.stdout.strip() == "done":
            break
    else:
        pytest.fail("the process never ran to its end")
    assert found == sorted(found)
    assert set(found) == {0, 1, 2, 3}


# --- disks that refuse ---------------------------------------------------------------------------

_IN_A_MOUNT = """
set -e
mount -t tmpfs -o size=256k none "$1"
mkdir "$1/adr"
printf a1 > "$1/adr/a.md"
printf b1 > "$1/adr/b.md"
{prepare}
set +e
"$2" - "$1/adr" "$3" <<'PYTHON'
import pathlib, sys
sys.path.insert(0, sys.argv[2])
from adrkit.errors import WriteFailed
from adrkit.transaction import FileChange, apply_changes
root = pathlib.Path(sys.argv[1])
try:
    apply_changes(root, [
        FileChange(root / "a.md", b"a1", b"a2"), FileChange(root / "b.md", b"b1", b"x" * {size}),
    ])
except WriteFailed as error:
    print("WriteFailed", error)
print(sorted((p.name, p.read_bytes()[:2]) for p in root.iterdir()))
PYTHON
"""


@pytest.mark.kernel
@pytest.mark.skipif(sys.platform != "linux", reason="mounts are Linux's here")
@pytest.mark.parametrize(
    ("prepare", "size", "said"),
    [
        ('dd if=/dev/zero of="$1/filler" bs=1k count=500 2>/dev/null || true', 9000, "No space"),
        ('mount -o remount,ro "$1"', 2, "Read-only file system"),
    ],
    ids=["full", "read-only"],
)
def test_disk_that_refuses_is_one_error_and_nothing_is_changed(
    tmp_path: Path, prepare: str, size: int, said: str
) -> None:
    script = _IN_A_MOUNT.replace("{prepare}", prepare).replace("{size}", str(size))
    namespace = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount in a namespace of his own")
    source = str(Path(sys.modules["adrkit"].__file__ or "").parents[1])
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        [*namespace, "sh", "-c", script, "sh", str(place), sys.executable, source],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said in done.stdout, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "[('a.md', b'a1'), ('b.md', b'b1')]"


@pytest.mark.kernel
def test_record_that_nobody_may_change_keeps_the_other_as_it_was(tmp_path: Path) -> None:
    planted(tmp_path)
    fixed = (
        shutil.which("chattr")
        and not subprocess.run(
            ["chattr", "+i", str(tmp_path / "b.md")], capture_output=True, check=False
        ).returncode
    )
    if not fixed:
        pytest.skip("only root on a file system with attributes can make a file immutable")
    try:
        with pytest.raises(WriteFailed, match=r"b\.md"):
            apply_changes(tmp_path, changes(tmp_path))
    finally:
        subprocess.run(["chattr", "-i", str(tmp_path / "b.md")], check=True)
    assert contents(tmp_path, hidden=True) == _BEFORE


# --- targets -------------------------------------------------------------------------------------


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
    assert contents(tmp_path, hidden=True) == {"a.md": b"theirs"}


@pytest.mark.parametrize("late", ["new/n.md", "new/other/n.md"])
def test_directories_of_a_change_that_failed_are_taken_away_again(
    tmp_path: Path, late: str
) -> None:
    # The last name is too long: of its directories some are made, and its file is not.
    too_long = tmp_path / late / ("x" * 300) / "n.md"
    with pytest.raises(WriteFailed):
        apply_changes(
            tmp_path,
            [
                FileChange(tmp_path / "new" / "deep" / "n.md", None, b"new"),
                FileChange(too_long, None, b"no name is so long"),
            ],
        )
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        (".a.md.adrkit-new", True), (".a.md.adrkit-old", True),
        ("a.md.adrkit-new", False), ("a.md.adrkit-old", False), (".a.md", False), ("a.md", False),
    ],
)  # fmt: skip
def test_left_over_is_hidden_and_has_our_suffix(name: str, is_ours: bool) -> None:
    assert is_left_over(Path("records") / name) is is_ours


def test_new_file_never_overwrites_an_existing_one(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"theirs")
    with pytest.raises(RecordExists):
        apply_changes(tmp_path, [FileChange(tmp_path / "a.md", None, b"x")])
    assert contents(tmp_path) == {"a.md": b"theirs"}


@pytest.mark.parametrize("way", ["relative", "absolute", "link", "dangling", "folder", "git"])
def test_target_outside_is_refused_by_whatever_way(tmp_path: Path, way: str) -> None:
    records = tmp_path / "project/docs/adr"
    records.mkdir(parents=True)
    (tmp_path / "project/.git/hooks").mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "there.md").write_bytes(b"theirs")
    (records / "link.md").symlink_to(outside / "there.md")
    (records / "dangling.md").symlink_to(outside / "new.md")
    (records / "folder").symlink_to(outside, target_is_directory=True)
    target = {
        "relative": records / "../../../outside/new.md",
        "absolute": outside / "new.md",
        "link": records / "link.md",
        "dangling": records / "dangling.md",
        "folder": records / "folder/new.md",
        "git": records / "../../.git/hooks/post-commit",
    }[way]
    before = b"theirs" if way == "link" else None
    with pytest.raises(PathOutside):
        apply_changes(records, [FileChange(target, before, b"mine")], tmp_path / "project")
    assert contents(outside) == {"there.md": b"theirs"}
    assert list((tmp_path / "project/.git/hooks").iterdir()) == []


def test_links_planted_under_the_names_of_our_own_files_are_not_followed(tmp_path: Path) -> None:
    records = planted(tmp_path / "adr")
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    for suffix in ("adrkit-new", "adrkit-old"):
        (records / f".a.md.{suffix}").symlink_to(outside)
    apply_changes(records, changes(records))
    assert outside.read_bytes() == b"theirs"
    assert contents(records, hidden=True) == _AFTER


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
                FileChange(tmp_path / "new" / "c.md", None, b"x"),
                FileChange(tmp_path / "file" / "b.md", None, b"x"),
            ],
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.md", "file"]
    assert (tmp_path / "a.md").read_bytes() == b"1"


def test_two_changes_at_once_wait_for_each_other(tmp_path: Path) -> None:
    (tmp_path / "n.md").write_bytes(b"0")
    refused: list[BaseException] = []

    def count_up() -> None:
        for _ in range(20):
            while True:
                before = (tmp_path / "n.md").read_bytes()
                after = str(int(before) + 1).encode()
                try:
                    apply_changes(tmp_path, [FileChange(tmp_path / "n.md", before, after)])
                    break
                except FileChanged as error:
                    refused.append(error)

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "n.md").read_bytes() == b"80"


def test_output_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.json").write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WriteFailed, match="No space left"):
            write_atomically(tmp_path / "out.json", b"new", tmp_path)
    assert contents(tmp_path, hidden=True) == {"out.json": b"old"}
    write_atomically(tmp_path / "deep/out.json", b"new", tmp_path)
    assert (tmp_path / "deep/out.json").read_bytes() == b"new"
    with pytest.raises(PathOutside):
        write_atomically(tmp_path / "../out.json", b"new", tmp_path)
