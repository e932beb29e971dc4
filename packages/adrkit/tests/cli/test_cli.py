from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from adrkit.cli import GROUPS, groups_named
from adrkit.cli.commands import app
from adrkit.record import Record
from adrkit.testing import GitProject, house

runner = CliRunner()


def adr(project: GitProject, *arguments: str) -> tuple[int, str, str]:
    result = runner.invoke(app, ["-C", str(project.root), *arguments])
    return result.exit_code, result.stdout, result.stderr


def adr_process(
    directory: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "adrkit", *arguments],
        cwd=directory, capture_output=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def test_init_new_accept_list_as_real_processes(project: GitProject) -> None:
    assert adr_process(project.root, "init").returncode == 0
    done = adr_process(project.root, "new", "Use PostgreSQL for Orders", "--context", "SHRED-1")
    assert done.stdout.decode().strip() == "wrote docs/adr/0002-use-postgresql-for-orders.md"
    assert done.stderr == b""
    assert adr_process(project.root, "accept", "2", "--reason", "tried").returncode == 0
    listed = adr_process(project.root, "list").stdout.decode().splitlines()
    today = datetime.datetime.now().astimezone().date().isoformat()
    assert listed == [
        f"0001\t{today}\tAccepted\tRecord Architecture Decisions",
        f"0002\t{today}\tAccepted\tUse PostgreSQL for Orders",
    ]


def test_wrong_use_exits_with_two_and_a_remedy(project: GitProject) -> None:
    for arguments in (["list"], ["show", "9"], ["nonsense"], ["new"], ["-C", "nowhere", "list"]):
        done = adr_process(project.root, *arguments)
        assert done.returncode == 2, arguments
        assert done.stderr, arguments
        assert b"Traceback" not in done.stderr, arguments


def test_empty_directory_is_an_error_and_not_an_empty_list(project: GitProject) -> None:
    project.records.mkdir(parents=True)
    code, out, err = adr(project, "list")
    assert (code, out) == (2, "")
    assert "holds no records" in err
    assert "remedy: " in err


def test_init_twice_changes_nothing(project: GitProject) -> None:
    adr(project, "init")
    before = {path: path.read_bytes() for path in project.records.iterdir()}
    code, out, _ = adr(project, "init")
    assert (code, "already" in out) == (0, True)
    assert {path: path.read_bytes() for path in project.records.iterdir()} == before


def test_init_of_an_unusual_directory_notes_it_in_the_settings(project: GitProject) -> None:
    code, _, _ = adr(project, "init", "records/all")
    assert code == 0
    assert (project.root / "adrkit.toml").read_text() == 'directory = "records/all"\n'
    assert adr(project, "list")[0] == 0


def test_new_takes_the_number_after_all_branches(project: GitProject) -> None:
    project.record(1, "one")
    project.commit()
    project("checkout", "-q", "-b", "side")
    project.record(2, "side")
    project.commit()
    project("checkout", "-q", "main")
    code, out, _ = adr(project, "new", "Mine", "--json")
    assert code == 0
    assert json.loads(out) == {
        "number": 3, "label": "ADR-0003", "path": "docs/adr/0003-mine.md", "superseded": [],
    }  # fmt: skip


def test_new_that_supersedes_marks_both_in_one_step(project: GitProject) -> None:
    old = project.record(1, "one")
    code, _, _ = adr(
        project, "new", "Two", "--supersedes", "1", "--status", "accepted", "--reason", "why"
    )
    assert code == 0
    assert Record.read(old).superseded_by == (2,)
    new = Record.read(project.records / "0002-two.md")
    assert new.supersedes == (1,)
    assert new.document.text.count("0001-one.md") == 1


def test_new_proposed_cannot_supersede_an_accepted_one(project: GitProject) -> None:
    old = project.record(1, "one")
    before = old.read_bytes()
    code, _, err = adr(project, "new", "Two", "--supersedes", "1")
    assert (code, "--force" in err) == (2, True)
    assert old.read_bytes() == before
    assert [path.name for path in project.records.iterdir()] == ["0001-one.md"]


def test_new_says_that_numbers_come_from_files_alone_without_git(tmp_path: Path) -> None:
    result = runner.invoke(app, ["-C", str(tmp_path), "new", "One"])
    assert result.exit_code == 0
    assert "no git repository" in result.stderr


@pytest.mark.parametrize("title", ["", "  ", "a\nb", "!!!"])
def test_new_with_an_unusable_title_writes_nothing(project: GitProject, title: str) -> None:
    code, _, err = adr(project, "new", title)
    assert code == 2
    assert "error: title" in err
    assert not project.records.exists()


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Use C++ & Rust", "0001-use-c-and-rust.md"),
        ("Don't Über-engineer", "0001-dont-uber-engineer.md"),
        ("../../etc/passwd", "0001-etc-passwd.md"),
        ("キュー を 使う", "0001-キュー-を-使う.md"),
        ("word " * 40, f"0001-{'-'.join(['word'] * 16)}.md"),
    ],
)
def test_file_name_is_short_kebab_case(project: GitProject, title: str, name: str) -> None:
    assert adr(project, "new", title)[0] == 0
    assert [path.name for path in project.records.iterdir()] == [name]


def test_new_opens_the_editor_when_asked(project: GitProject, tmp_path: Path) -> None:
    script = tmp_path / "editor.sh"
    script.write_text('#!/bin/sh\necho edited >> "$2"\n')
    script.chmod(0o755)
    done = adr_process(project.root, "new", "One", "--edit", VISUAL=f"{script} --wait")
    assert done.returncode == 0
    assert (project.records / "0001-one.md").read_text().endswith("edited\n")


def test_failing_editor_is_an_error_and_the_record_stays(project: GitProject) -> None:
    done = adr_process(project.root, "new", "One", "--edit", VISUAL="false")
    assert done.returncode == 2
    assert b"remedy" in done.stderr
    assert (project.records / "0001-one.md").exists()


def test_custom_template_of_the_settings_is_used(project: GitProject) -> None:
    project.write("adrkit.toml", 'template = "t.md"\n')
    project.write("t.md", "# {{ number }}. {{ title }}\r\n\r\nDate: {{ date }}\r\n")
    adr(project, "new", "One")
    text = (project.records / "0001-one.md").read_bytes()
    assert text.startswith(b"# 1. One\r\n\r\nDate: 2")


@pytest.mark.parametrize(
    "template", ["{{ nope }}", "{% if %}", "{{ ''.__class__.__mro__[1].__subclasses__() }}"]
)
def test_broken_or_prying_template_writes_nothing(project: GitProject, template: str) -> None:
    project.write("t.md", template)
    code, _, err = adr(project, "new", "One", "--template", "t.md")
    assert (code, "template" in err) == (2, True)
    assert not project.records.exists()


def test_list_filters_and_prints_json(project: GitProject) -> None:
    project.record(1, "one")
    project.record(2, "two", status="Superseded by ADR-0001")
    code, out, _ = adr(project, "list", "--status", "superceded", "--json")
    assert code == 0
    assert [(r["number"], r["superseded_by"]) for r in json.loads(out)] == [(2, [1])]
    assert adr(project, "list", "--since", "2026-02-01")[1] == ""
    assert adr(project, "list", "--status", "nonsense")[0] == 2


def test_unreadable_record_is_named_and_the_exit_code_says_so(project: GitProject) -> None:
    project.record(1, "one")
    (project.records / "0002-two.md").write_bytes(b"# \xff\n")
    code, out, err = adr(project, "list")
    assert code == 2
    assert out.startswith("0001\t")
    assert "0002-two.md is not UTF-8" in err


def test_show_prints_the_exact_bytes(project: GitProject) -> None:
    path = project.record(1, "one")
    path.write_bytes(b"\xef\xbb\xbf" + house(1).replace("\n", "\r\n").encode())
    assert adr_process(project.root, "show", "1").stdout == path.read_bytes()


def test_show_json_has_decision_and_alternatives(project: GitProject) -> None:
    project.record(1, "one")
    shown = json.loads(adr(project, "show", "1", "--json")[1])
    assert shown["decision"] == "Use One for all of it."
    assert [a["verdict"] for a in shown["alternatives"]] == ["chosen", "rejected"]


def test_search_finds_all_words_with_lines(project: GitProject) -> None:
    project.record(1, "one")
    code, out, _ = adr(project, "search", "SOLVES", "one")
    assert code == 0
    lines = house(1, "One").splitlines()
    line = next(n for n, text in enumerate(lines, 1) if "solves nothing" in text)
    assert f"docs/adr/0001-one.md:{line}: | **Nothing**" in out
    assert adr(project, "search", "absent")[0] == 1
    assert adr(project, "search", "-E", "(")[0] == 2


def test_supersede_and_illegal_move_through_the_command(project: GitProject) -> None:
    project.record(1, "one")
    project.record(2, "two")
    assert adr(project, "supersede", "1", "--by", "2") == (
        0, "ADR-0001: Accepted -> Superseded by ADR-0002\n", "",
    )  # fmt: skip
    code, _, err = adr(project, "deprecate", "1")
    assert (code, "cannot become Deprecated" in err) == (2, True)


def test_renumber_lists_what_it_left_alone_and_exits_with_one(project: GitProject) -> None:
    project.record(2, "a")
    project.record(2, "b")
    project.write("x.py", "# ADR-0002\n")
    code, out, err = adr(project, "renumber", "docs/adr/0002-b.md", "--dry-run")
    assert code == 1
    assert "would rename docs/adr/0002-b.md -> docs/adr/0003-b.md" in out
    assert "x.py:1" in err
    assert (project.records / "0002-b.md").exists()
    assert adr(project, "renumber", "0002-b.md")[0] == 1
    assert (project.records / "0003-b.md").exists()


def test_template_show_prints_placeholders_and_source(project: GitProject) -> None:
    assert adr(project, "template", "show")[1].startswith("# ADR-[NNNN]: [Short Title in Title")
    assert "{{ number_text }}" in adr(project, "template", "show", "--source")[1]


def test_dirty_tree_and_detached_head_do_not_matter_for_moves(project: GitProject) -> None:
    project.record(1, "one", status="Proposed")
    project.commit()
    project("checkout", "-q", "--detach")
    project.write("dirty.txt", "x")
    assert adr(project, "accept", "1")[0] == 0


def test_every_group_is_registered_and_every_command_teaches() -> None:
    names = list(typer.main.get_group(app).commands)
    assert sorted(names) == sorted(name for commands in GROUPS.values() for name in commands)
    expected = [
        "init",
        "new",
        "accept",
        "reject",
        "deprecate",
        "supersede",
        "renumber",
        "list",
        "show",
        "search",
    ]
    assert set(expected) <= set(names)
    for name in [*expected, "template show"]:
        result = runner.invoke(app, [*name.split(), "--help"])
        assert result.exit_code == 0
        assert len(result.stdout.splitlines()) > 8, name


def test_version_is_shown_without_a_command() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout.split()[0]) == (0, "adrkit")


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        (["lint", "--fix"], ("lint",)),
        (["-C", "list", "show", "7"], ("read",)),
        (["--help"], tuple(GROUPS)),
        (["--version"], ()),
        (["frobnicate"], tuple(GROUPS)),
        ([], tuple(GROUPS)),
    ],
)
def test_only_the_groups_that_are_named_are_loaded(
    words: list[str], groups: tuple[str, ...]
) -> None:
    assert groups_named(words) == groups


def test_short_command_spares_what_it_does_not_need(project: GitProject) -> None:
    project.record(1, "use-queues")
    code = (
        "import sys; from adrkit.cli import main\n"
        f"sys.argv = ['adr', '-C', {str(project.root)!r}, 'list']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print({'jinja2', 'rich', 'adrkit.lint', 'adrkit.checks'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_many_findings_of_a_kind_are_folded_but_counted(project: GitProject) -> None:
    adr(project, "init")
    adr(project, "new", "Use Queues", "--no-edit")
    code, out, _ = adr(project, "lint")
    assert code == 1
    assert out.count("error ADR305") == 2
    assert "more of ADR305 placeholder on lines " in out
    code, full, _ = adr(project, "lint", "--all")
    assert (code, "more of" in full) == (1, False)
    assert out.splitlines()[-1] == full.splitlines()[-1]  # the same sum
    assert f"1 records: {full.count(': error ')} errors" in full.replace("2 records", "1 records")
