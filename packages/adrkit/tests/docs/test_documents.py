"""What the documents say is what the command does."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from adrkit.checks import KINDS, Check, read_checks
from adrkit.checks.reference import EXAMPLES, checks_reference
from adrkit.cli.commands import app
from adrkit.lint.catalogue import rules_markdown
from adrkit.record import Record
from adrkit.reference import command_reference
from adrkit.repository import RecordRepository

PACKAGE = Path(__file__).parents[2]
REPOSITORY = PACKAGE.parents[1]
README = PACKAGE / "README.md"


def in_repository(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"only in the repository: {path.name}")
    return path


def run_tour(page: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """The shell blocks of a page, one after the other, as a reader would type them."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    programs = directory / "bin"
    programs.mkdir()
    command = programs / "adr"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m adrkit "$@"\n')
    command.chmod(0o755)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
        cwd=directory,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def section(page: str, heading: str) -> str:
    """A section's text; headings in its code blocks do not end it."""
    found: list[str] = []
    fenced = inside = False
    for line in page.splitlines(keepends=True):
        fenced ^= line.startswith("```")
        if line.startswith("## ") and not fenced:
            inside = line.strip() == f"## {heading}"
        elif inside:
            found.append(line)
    assert found, heading
    return "".join(found)


def test_tour_of_the_readme_runs_as_it_is_written(tmp_path: Path) -> None:
    done = run_tour(section(README.read_text(), "A tour in 60 seconds"), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    orders = tmp_path / "orders"
    assert (orders / "public/index.html").exists()
    assert (orders / "decisions.json").stat().st_size > 1000
    assert "Superseded by 0003" in done.stdout
    assert "1 checks in 3 records: 1 pass" in done.stdout
    assert "ADR-0003 setting: violated" in done.stdout
    assert "the code has drifted from ADR-0003" in done.stdout
    assert "ADR-0001 content-changed" in done.stdout
    assert "would write docs/adr/0004-use-logs.md" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 checks in 3 records: 1 pass")


TOURS = {
    "With MADR records": ("shop", "docs/decisions", "jabref"),
    "With records of adr-tools": ("mail", "doc/adr", "govuk-aws"),
}


@pytest.mark.parametrize("heading", TOURS)
def test_tour_with_records_of_another_format_ends_green(tmp_path: Path, heading: str) -> None:
    done = run_tour(section(README.read_text(), heading), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("1 checks in 2 records: 1 pass"), done.stdout
    assert "wrong" not in last
    folder, records, _ = TOURS[heading]
    first, second = sorted((tmp_path / folder / records).glob("0*.md"))
    assert Record.read(second).dialect.name == Record.read(first).dialect.name


@pytest.mark.parametrize("heading", TOURS)
def test_tour_ends_green_over_the_records_of_a_real_project(
    tmp_path: Path, heading: str, corpora: Path
) -> None:
    """The same commands where a project's own records lie; only the next number differs."""
    folder, records, corpus = TOURS[heading]
    page = section(README.read_text(), heading)
    taken = [r.number or 0 for r in RecordRepository(corpora / corpus).list()]
    page = page.replace("0002", f"{max(taken) + 1:04d}")
    start = f"git init -q {folder} && cd {folder}\n"
    copied = (
        f"{start}mkdir -p {records} && cp -r {shlex.quote(str(corpora / corpus))}/. {records}\n"
    )
    head, rest = page.split("```sh\n" + start)[0], page.split("\nEND\n```\n", 1)[1]
    place = f"echo {records} > .adr-dir\n"
    done = run_tour(f"{head}```sh\n{copied}{place}```\n{rest}", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert ": 1 pass" in last
    assert "wrong" not in last


def test_python_of_the_readme_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        subprocess.run([sys.executable, "-c", block], cwd=tmp_path, check=True)


def test_links_of_the_readme_exist() -> None:
    in_repository(REPOSITORY / ".pre-commit-hooks.yaml")
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (PACKAGE / target).exists(), target


def test_command_reference_is_that_of_the_commands() -> None:
    written = in_repository(REPOSITORY / "docs/adrkit/commands.md").read_text()
    assert written == command_reference(app), "run `python -m adrkit.reference`"


def test_page_on_checks_is_that_of_the_kinds() -> None:
    written = in_repository(REPOSITORY / "docs/adrkit/checks.md").read_text()
    assert written == checks_reference(), "run `python -m adrkit.checks.reference`"


def test_page_on_rules_is_that_of_the_rules() -> None:
    written = in_repository(REPOSITORY / "docs/adrkit/rules.md").read_text()
    assert written == rules_markdown(), "run `adr rules --markdown`"


@pytest.mark.parametrize("kind", KINDS)
def test_example_of_each_kind_is_a_check_of_that_kind(kind: str) -> None:
    block = f"[[{kind}]]\n{EXAMPLES[kind]}"
    checks = list(read_checks(Record.from_text(f"# ADR-0001: T\n\n```adr-check\n{block}\n```\n")))
    assert len(checks) == block.count(f"[[{kind}]]")
    for check in checks:
        assert isinstance(check, Check), check
        assert check.spec.kind == kind


def commands_and_options() -> dict[str, set[str]]:
    group = typer.main.get_command(app)
    found = {}
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        found[name] = {option for p in getattr(command, "params", ()) for option in p.opts}
    return found


def test_hooks_run_commands_that_exist() -> None:
    hooks = yaml.safe_load(in_repository(REPOSITORY / ".pre-commit-hooks.yaml").read_text())
    known = commands_and_options()
    assert {hook["id"] for hook in hooks} == {
        "adr-lint", "adr-audit", "adr-check", "adr-index", "adr-number",
    }  # fmt: skip
    for hook in hooks:
        program, command, *options = hook["entry"].split()
        assert program == "adr"
        assert set(options) <= known[command]


def test_action_runs_commands_that_exist_and_pastes_no_input_into_its_script() -> None:
    action = yaml.safe_load((PACKAGE / "action.yml").read_text())
    known = commands_and_options()
    scripts = [step["run"] for step in action["runs"]["steps"] if "run" in step]
    called = re.findall(r'"\$adr" (\w+)((?: --[\w-]+)*)', "\n".join(scripts))
    assert {command for command, _ in called} == {
        "lint", "audit", "check", "index", "number", "review",
    }  # fmt: skip
    for command, options in called:
        assert set(options.split()) <= known[command]
    for script in scripts:
        assert "${{" not in script
        subprocess.run(["bash", "-n", "-c", script], check=True)


def test_worked_example_of_drafts_runs_as_it_is_written(tmp_path: Path) -> None:
    page = in_repository(REPOSITORY / "docs/adrkit/numbers.md").read_text()
    done = run_tour(page, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# ADR-0003: jobs wait in Valkey" in done.stdout
    assert "See [ADR-0002](docs/adr/0002-use-valkey-for-caching.md)." in done.stdout


def test_action_pins_what_it_installs_and_names_no_registry() -> None:
    action = yaml.safe_load((PACKAGE / "action.yml").read_text())
    for step in action["runs"]["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])
    scripts = "\n".join(step.get("run", "") for step in action["runs"]["steps"])
    assert "--require-hashes" in scripts
    pinned = (PACKAGE / "requirements.txt").read_text()
    assert "http" not in scripts + pinned
    assert "index-url" not in scripts + pinned
    entries = re.split(r"\n(?=\w)", pinned.strip())
    assert len(entries) >= 8
    for entry in entries:
        assert "--hash=sha256:" in entry
    declared = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[^\w-]", text)[0] for text in declared}
    assert names <= {entry.split("==")[0] for entry in entries}


def test_pre_commit_installs_the_hooks_from_a_clone(tmp_path: Path) -> None:
    """As pre-commit does: `pip install` of the clone's root, and the entry is there."""
    root = in_repository(REPOSITORY / "pyproject.toml").parent
    hooks = yaml.safe_load((root / ".pre-commit-hooks.yaml").read_text())
    assert {hook["language"] for hook in hooks} == {"python"}
    target = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "--disable-pip-version-check", "--target", str(target), str(root)],
        check=True,
    )  # fmt: skip
    done = subprocess.run(
        [str(target / "bin/adr"), "--version"], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(target)}, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.startswith("adrkit ")
    assert (target / "adrkit/templates/house.md.j2").is_file()
    whole = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    package = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    for key in ("dependencies", "requires-python", "version"):
        assert whole[key] == package[key], f"{key} of the root is that of packages/adrkit"
