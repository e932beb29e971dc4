"""Local merges: the hook that numbers drafts, and the driver of the table."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.repository import RecordRepository
from adrkit.testing import GitProject


def adr(project: GitProject, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["-C", str(project.root), *arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def two_branches(project: GitProject) -> GitProject:
    """main and side each have a record of their own in the table, side a draft as well."""
    project.record(1, "one")
    project.write("docs/adr/README.md", "# Records\n\nIntroduction.\n\n")
    adr(project, "index", "--add-markers")
    project.write("docs/adr/README.md", (project.records / "README.md").read_text() + "\nEnd.\n")
    project.commit("start")
    project("checkout", "-q", "-b", "side")
    project.record(2, "two")
    adr(project, "new", "Use Valkey", "--draft", "--status", "Accepted")
    adr(project, "index")
    readme = project.records / "README.md"
    readme.write_text(readme.read_text().replace("Introduction.", "A better introduction."))
    project.commit("side")
    project("checkout", "-q", "main")
    project.record(3, "three")
    adr(project, "index")
    project.commit("main")
    return project


def test_merge_numbers_the_draft_and_renews_the_table(two_branches: GitProject) -> None:
    code, out, _ = adr(two_branches, "hooks")
    assert (code, "post-merge" in out) == (0, True)
    two_branches("merge", "-q", "--no-edit", "side")
    assert [r.number for r in RecordRepository(two_branches.records).list()] == [1, 2, 3, 4]
    assert two_branches("log", "-1", "--format=%s").strip() == "Number ADR-0004"
    assert len(two_branches("log", "-2", "--format=%P").splitlines()[1].split()) == 2
    assert two_branches("status", "--porcelain") == ""
    assert adr(two_branches, "index", "--check")[0] == 0
    readme = (two_branches.records / "README.md").read_text()
    assert "A better introduction." in readme
    assert readme.endswith("\nEnd.\n")
    assert not (two_branches.root / ".git/MERGE_HEAD").exists()


def test_without_the_driver_the_table_conflicts(two_branches: GitProject) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        two_branches("merge", "-q", "--no-edit", "side")


def test_merge_on_another_branch_leaves_drafts_alone(two_branches: GitProject) -> None:
    adr(two_branches, "hooks")
    two_branches("checkout", "-q", "-b", "other")
    two_branches("merge", "-q", "--no-edit", "side")
    assert len(RecordRepository(two_branches.records).drafts) == 1


def test_prose_that_conflicts_is_still_a_conflict(two_branches: GitProject) -> None:
    adr(two_branches, "hooks")
    readme = two_branches.records / "README.md"
    readme.write_text(readme.read_text().replace("Introduction.", "Another introduction."))
    two_branches.commit()
    with pytest.raises(subprocess.CalledProcessError):
        two_branches("merge", "-q", "--no-edit", "side")
    text = readme.read_text()
    assert text.count("<<<<<<<") == 1
    assert "ADR-0003" in text


def test_driver_killed_midway_leaves_our_file_and_a_failed_merge(
    two_branches: GitProject, tmp_path: Path
) -> None:
    """Killed in the middle of its work: between reading and the one step that writes."""
    adr(two_branches, "hooks")
    program = tmp_path / "killed.py"
    program.write_text(
        "import os, signal, sys\nfrom pathlib import Path\nimport adrkit.merging as merging\n"
        "merging._replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "merging.merge_index(*map(Path, sys.argv[1:]))\n"
    )
    two_branches("config", "merge.adr-index.driver", f"{sys.executable} {program} %O %A %B")
    before = (two_branches.records / "README.md").read_bytes()
    with pytest.raises(subprocess.CalledProcessError):
        two_branches("merge", "-q", "--no-edit", "side")
    text = (two_branches.records / "README.md").read_bytes()
    assert text == before
    assert not list(two_branches.root.glob(".merge_file*"))
    two_branches("reset", "-q", "--merge")
    adr(two_branches, "hooks")
    two_branches("merge", "-q", "--no-edit", "side")
    assert [r.number for r in RecordRepository(two_branches.records).list()] == [1, 2, 3, 4]


def test_number_killed_midway_is_finished_by_the_next_run(
    project: GitProject, tmp_path: Path
) -> None:
    """Whatever was written when it was killed, one more run gives the whole result."""
    adr(project, "new", "Use Valkey", "--draft", "--status", "Accepted")
    (stem,) = (path.stem for path in project.records.iterdir())
    for at in range(4):
        project.write(f"src/m{at}.py", f"# ADR-{stem}\n")
    project.commit()
    program = (
        "import os, signal, sys, pathlib\nleft = [int(sys.argv[1])]\n"
        "replace = os.replace\n"
        "def counted(*a, **k):\n"
        "    if not left[0]: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    left[0] -= 1\n    return replace(*a, **k)\n"
        "os.replace = counted\n"
        "pathlib.Path.replace = lambda self, target: counted(self, target) and None\n"
        "from adrkit.cli import main\nsys.argv = ['adr', 'number']\nmain()\n"
    )
    killed = 0
    for writes in range(8):
        project("checkout", "-q", ".")
        project("clean", "-fdq")
        done = subprocess.run(
            [sys.executable, "-c", program, str(writes)], cwd=project.root, check=False,
            capture_output=True,
        )  # fmt: skip
        killed += done.returncode == -signal.SIGKILL
        code, _, err = adr(project, "number")
        assert code == 0, (writes, err)
        names = [p.name for p in project.records.iterdir() if not p.name.startswith(".")]
        assert names == ["0001-use-valkey.md"], writes
        for at in range(4):
            assert (project.root / f"src/m{at}.py").read_text() == "# ADR-0001\n", writes
    assert killed >= 4


def test_hook_of_somebody_else_is_never_overwritten(project: GitProject) -> None:
    hook = project.root / ".git/hooks/post-merge"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho mine\n")
    code, _, err = adr(project, "hooks")
    assert code == 2
    assert "it is yours" in err
    assert hook.read_text() == "#!/bin/sh\necho mine\n"


def test_hooks_are_printed_and_removed_again(project: GitProject) -> None:
    code, out, _ = adr(project, "hooks", "--print")
    assert code == 0
    assert "number --on-default-branch --commit" in out
    assert "docs/adr/README.md merge=adr-index" in out
    config = (project.root / ".git/config").read_text()
    adr(project, "hooks")
    adr(project, "hooks")
    attributes = project.root / ".git/info/attributes"
    assert attributes.read_text().count("merge=adr-index") == 1
    assert os.access(project.root / ".git/hooks/post-merge", os.X_OK)
    assert adr(project, "hooks", "--remove")[0] == 0
    assert not (project.root / ".git/hooks/post-merge").exists()
    assert attributes.read_text() == ""
    assert "driver" not in (project.root / ".git/config").read_text()
    assert "driver" not in config
    assert adr(project, "hooks", "--remove")[0] == 0


def test_git_directory_elsewhere_is_written_only_by_its_own_work_tree(project: GitProject) -> None:
    """`git init --separate-git-dir` leaves no way back; the index knows the files it wrote."""
    apart = project.root.parent / "apart.git"
    project("init", "-q", "--separate-git-dir", str(apart))
    code, _, err = adr(project, "hooks")
    assert (code, "git config core.worktree" in err) == (2, True)  # no file that it could know
    project.record(1, "use-queues")
    project.commit()
    copy = GitProject(project.root.parent / "copy")
    shutil.rmtree(copy.root)
    shutil.copytree(project.root, copy.root)
    (copy.root / "docs-of-others").symlink_to(project.root / "docs")
    assert adr(copy, "hooks")[0] == 2
    project("mv", "docs", "docs-of-others")  # what the copy's link leads to is not the copy's
    (project.root / "docs").symlink_to("docs-of-others")
    assert adr(copy, "hooks")[0] == 2
    assert not (apart / "hooks/post-merge").exists()
    assert adr(project, "hooks")[0] == 0
    assert (apart / "hooks/post-merge").is_file()


def test_work_tree_that_is_entered_by_a_relative_path_is_known(project: GitProject) -> None:
    project.record(1, "use-queues")
    project.commit()
    tree = GitProject(project.root.parent / "tree")
    shutil.rmtree(tree.root)
    project("worktree", "add", "-q", str(tree.root))
    (entry,) = (project.root / ".git/worktrees").glob("*/gitdir")
    entry.write_text(os.path.relpath(tree.root / ".git", entry.parent) + "\n")
    assert adr(tree, "hooks")[0] == 0
    assert (project.root / ".git/hooks/post-merge").is_file()
