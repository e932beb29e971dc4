"""Shell completion as the shells ask for it: a process, its words in the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.testing import GitProject


def completed(root: Path, words: str) -> list[str]:
    """What bash is offered for the last word of ``words``."""
    result = CliRunner().invoke(
        app,
        prog_name="adr",
        env={
            "_ADR_COMPLETE": "complete_bash",
            "COMP_WORDS": words.replace("adr", f"adr -C {root}", 1),
            "COMP_CWORD": str(len(words.split(" ")) + 1),
        },
    )
    return result.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("adr ren", ["renumber"]),
        ("adr show ", ["0001", "0012"]),
        ("adr show 1", ["1", "12"]),
        ("adr show ADR-00", ["ADR-0001", "ADR-0012"]),
        ("adr show adr-1", ["adr-1", "adr-12"]),
        ("adr supersede 1 --by 12", ["12"]),
        ("adr list --status d", ["deprecated"]),
        ("adr lint --format s", ["sarif"]),
        ("adr lint --select ADR403", ["ADR403"]),
        ("adr audit --best", ["--best-effort"]),
    ],
)
def test_words_are_completed(project: GitProject, words: str, offered: list[str]) -> None:
    project.record(1, "use-queues")
    project.record(12, "use-logs")
    project.write("docs/adr/README.md", "")
    assert completed(project.root, words) == offered


def test_nothing_is_offered_or_printed_where_there_are_no_records(project: GitProject) -> None:
    assert completed(project.root, "adr show ") == []
    project.write("adrkit.toml", "directory = 7\n")
    assert completed(project.root, "adr show ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_for_each_shell_is_shown(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "adrkit", "--show-completion", shell],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "_ADR_COMPLETE=complete_" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n", "-c", done.stdout], check=True)
