"""Programs that a checkout's git settings name, and gits that cannot leave them out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from adrkit.errors import AdrkitError, ProgramsInSettings
from adrkit.git import Git
from adrkit.remote import read_remote
from adrkit.testing import GitProject


@pytest.mark.parametrize("refused", ["--show-scope", "--show-scope --worktree"])
def test_old_git_runs_no_program_of_the_repositorys_settings_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """Before 2.26 git does not tell where a setting is from; an included file counts, too."""
    project = GitProject(tmp_path / "project")
    project.record(1, "use-queues")
    project.write("src/app.py", "# ADR-0001\n")
    project.write(".gitattributes", "* filter=evil filter=worse\n")
    project.commit()
    project.write("settings", f'[filter "evil"]\nclean = "touch {tmp_path}/ran; cat"\n')
    project("config", "include.path", "../settings")
    project.write("src/app.py", "# ADR-0001, changed\n")
    old = tmp_path / "old"
    old.mkdir()
    (old / "git").write_text(
        f'#!/bin/sh\nfor o in "$@"; do case " {refused} " in *" $o "*) echo "$o?" >&2; exit 129;;'
        f'esac; done\nexec {shutil.which("git")} "$@"\n'
    )
    (old / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{old}:{os.environ['PATH']}")
    assert Git.discover(project.root).overrides == ("-c", "filter.evil.clean=")
    assert Git.discover(project.root).run("status", "--porcelain") != b""
    assert not (tmp_path / "ran").exists()


def test_git_that_cannot_list_the_repositorys_settings_is_refused(
    project: GitProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.record(1, "use-queues")
    project.commit()
    (tmp_path / "git").write_text(
        f'#!/bin/sh\ncase "$*" in *" config "*) exit 129;; esac\nexec {shutil.which("git")} "$@"\n'
    )
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(AdrkitError):
        Git.discover(project.root)


def with_filter(project: GitProject, name: str, ran: Path) -> None:
    """A file that git asks the filter about."""
    project.write("a.txt", "a")
    project.write(".gitattributes", f"* filter={name}\n")
    project.commit()
    project("config", f"filter.{name}.clean", f"touch {ran}; cat")
    project.write("a.txt", "b")


@pytest.mark.parametrize("held", ["1", "", " 1", "-18446744073709551615"])
def test_settings_of_the_environment_do_not_bring_programs_back(
    project: GitProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    with_filter(project, "a=b", tmp_path / "ran")
    monkeypatch.setenv("GIT_CONFIG_COUNT", held)
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Grace")
    git = Git.discover(project.root)
    assert git.run("status", "--porcelain") != b""
    assert not (tmp_path / "ran").exists()
    if held == "1":  # the user's own stay
        assert git.run("config", "user.name") == b"Grace\n"


def test_git_that_cannot_leave_a_program_out_is_refused(
    project: GitProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before 2.31 it takes no settings from the environment."""
    with_filter(project, "a=b", tmp_path / "ran")
    (tmp_path / "git").write_text(
        f'#!/bin/sh\nunset GIT_CONFIG_COUNT\nexec {shutil.which("git")} "$@"\n'
    )
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ProgramsInSettings, match=r"filter\.a=b\.clean"):
        Git.discover(project.root)
    assert not (tmp_path / "ran").exists()


def test_more_programs_than_can_be_left_out_are_refused(project: GitProject) -> None:
    with (project.root / ".git/config").open("a") as file:
        file.writelines(f'[filter "{at}"]\nclean = cat\n' for at in range(30_000))
    with pytest.raises(ProgramsInSettings, match="too many"):
        Git.discover(project.root)


@pytest.mark.parametrize(
    ("key", "url"),
    [("core.gitProxy", "git://127.0.0.1:1/x"), ("remote.origin.uploadpack", "{root}")],
)
def test_first_of_several_values_is_no_program_either(
    project: GitProject, tmp_path: Path, key: str, url: str
) -> None:
    """Of these settings git takes the first one, so that none after it can undo it."""
    project.record(1, "use-queues")
    project.commit()
    program = tmp_path / "evil.sh"
    program.write_text(f'#!/bin/sh\ntouch "{tmp_path}/ran"\nexit 1\n')
    program.chmod(0o755)
    project("remote", "add", "origin", url.format(root=project.root))
    project("config", key, str(program))
    read_remote(Git.discover(project.root), "docs/adr")
    assert not (tmp_path / "ran").exists()


def test_filters_would_run_without_our_options(tmp_path: Path) -> None:
    """The test above proves something: plain git does run them."""
    project = GitProject(tmp_path / "project")
    with_filter(project, "a=b", tmp_path / "ran")
    project("status")
    assert (tmp_path / "ran").exists()
