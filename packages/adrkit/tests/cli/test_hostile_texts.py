"""What a terminal and a log are given of titles and names that somebody else chose."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.testing import GitProject, house

EVIL = "\x1b[31m\x1b]0;owned\x07\u202e"
NAME = "docs/adr/0003-\x1b]0;owned\x07x\n::error::y.md"

COMMANDS = [
    "list", "search Evil", "why src/app.py", "why docs", "lint", "lint -f github",
    "audit --history", "check --verbose", "graph", "index --check", "coverage", "conflicts",
    "ledger", "ledger --json", "number --check", "review HEAD~1..HEAD",
    "review HEAD~1..HEAD -f markdown", "renumber 4 -n", "export", "show 3 --json",
    "show nope\x1b]0;owned\x07\n::error::x",
]  # fmt: skip


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> GitProject:
    project = GitProject(tmp_path_factory.mktemp("hostile") / "project")
    project.record(1, "use-queues")
    project.commit()
    project.write(NAME, house(3, f"Evil {EVIL} Title", f"Acc{EVIL}epted"))
    project.write("src/app.py", "# ADR-0003\n")
    project.write("src/\x1b[2J\n::warning::z.py", "# ADR-0003 and ADR-0099\n")
    project.write(
        "docs/adr/0004-x.md",
        house(4) + f"\n## Notes{EVIL}\n\nsee `src/no{EVIL}pe.py`, [x](no{EVIL}.md), ADR-0077\n"
        "\n```adr-check\n[[path-exists]]\npath = 'a\\u001b[31m'\n```\n",
    )
    project.commit()
    return project


@pytest.mark.parametrize("command", COMMANDS, ids=repr)
def test_no_text_steers_a_terminal_or_makes_a_line_of_its_own(
    hostile: GitProject, command: str
) -> None:
    done = CliRunner().invoke(app, ["-C", str(hostile.root), *command.split(" ")])
    assert isinstance(done.exception, SystemExit | None), done.exception
    said = done.stdout + done.stderr
    assert not re.search("[\x07\x1b\u202e]", said), said
    own = [line for line in said.splitlines() if line.lstrip().startswith("::")]
    assert all(" file=" in line for line in own), own


def test_json_of_such_names_is_exact(hostile: GitProject) -> None:
    done = CliRunner().invoke(app, ["-C", str(hostile.root), "list", "--json"])
    assert NAME in [record["path"] for record in json.loads(done.stdout)]


def test_title_is_no_markup_of_the_table_on_a_terminal(project: GitProject) -> None:
    title = "Use [/x] [red]R[/red] \x1b]0;owned\x07"
    project.write("docs/adr/0001-x.md", house(1, title))
    terminal, ours = pty.openpty()
    command = [sys.executable, "-m", "adrkit", "-C", str(project.root), "list"]
    child = subprocess.Popen(command, stdin=ours, stdout=ours, stderr=ours)
    os.close(ours)
    said = b""
    while True:
        try:
            read = os.read(terminal, 4096)
        except OSError:  # Linux's end of a terminal
            break
        if not read:
            break
        said += read
    assert child.wait() == 0
    assert b"Use [/x] [red]R[/red] \\u001b]0;owned\\u0007" in said


def test_half_a_character_in_front_matter_is_no_crash(project: GitProject) -> None:
    project.write("docs/adr/0001-x.md", '---\ntitle: "\\ud800"\nstatus: accepted\n---\n# X\n')
    done = CliRunner().invoke(app, ["-C", str(project.root), "export"])
    assert (done.exit_code, done.exception) == (0, None)


@pytest.mark.parametrize("text", ["a: !!timestamp x", "a: !!int x", "a: 2024-02-30", "a: 0x_"])
def test_yaml_that_has_no_value_is_an_error_of_the_check(project: GitProject, text: str) -> None:
    project.write("c.yaml", text)
    check = "[[config]]\nfile = 'c.yaml'\npointer = '/a'\nvalue = 1"
    project.write("docs/adr/0001-x.md", f"{house(1)}\n```adr-check\n{check}\n```\n")
    done = CliRunner().invoke(app, ["-C", str(project.root), "check"])
    assert (done.exit_code, "error: c.yaml is not valid YAML" in done.stdout) == (2, True)


def test_thousands_of_findings_and_headings_are_told_apart_by_counting(
    project: GitProject,
) -> None:
    project.write("docs/adr/0001-x.md", house(1) + "\n## Notes\n\n" + "# a\n" * 3_000)
    done = CliRunner().invoke(app, ["-C", str(project.root), "lint"])
    assert (done.exit_code, " more of " in done.stdout) == (1, True)
    done = CliRunner().invoke(app, ["-C", str(project.root), "site", "-o", "site"])
    assert done.exit_code == 0
    assert 'id="s-a-2999"' in next((project.root / "site").glob("0001*")).read_text()
