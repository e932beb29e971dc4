"""Paths of decided records, followed through planted histories."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adrkit.checks import Result, make_context, run_checks
from adrkit.cli.commands import app
from adrkit.config import load_config
from adrkit.git import Git
from adrkit.governance import governing
from adrkit.lint import Finding, lint, load_settings
from adrkit.project_files import ProjectFiles
from adrkit.renames import Renames
from adrkit.repository import RecordRepository
from adrkit.site import build_site
from adrkit.testing import GitProject, house

RECORD = "docs/adr/0001-use-queues.md"
CODE = "import json\n\nLIMIT = 3\n\n\nclass Job:\n    pass\n"
BLOCK = """
```adr-check
[[setting]]
file = "exports/job.py"
attribute = "LIMIT"
value = 3
```
"""


def with_code(text: str, path: str) -> str:
    return text.replace("src/app.py", path)


def plant(project: GitProject, block: str = BLOCK, status: str = "Accepted") -> None:
    """exports/job.py beside another file, and a record that names it and holds it to a value."""
    project.write("exports/job.py", CODE)
    project.write("exports/other.py", "def other() -> int:\n    return 1\n" * 5)
    project.write(RECORD, with_code(house(1, status=status), "exports/job.py") + block)
    project.commit("the decision")


def move(project: GitProject, old: str, new: str) -> str:
    (project.root / new).parent.mkdir(parents=True, exist_ok=True)
    project("mv", old, new)
    return project.commit(f"move {old}")


def checked(root: Path) -> list[Result]:
    config = load_config(root)
    records = RecordRepository.of(config).list()
    return list(run_checks(make_context(config, Git.find(root)), records).results)


def linted(root: Path) -> tuple[Sequence[Finding], list[str]]:
    config = load_config(root)
    settings = load_settings(config, select=["ADR601", "ADR602"])
    report = lint(config, RecordRepository.of(config), Git.find(root), settings)
    return report.findings, [f"{item.path} > {item.to}" for item in report.followed]


def test_moved_file_is_checked_where_it_is_and_the_record_keeps_its_bytes(
    project: GitProject,
) -> None:
    plant(project)
    before = (project.root / RECORD).read_bytes()
    commit = move(project, "exports/job.py", "jobs/job.py")
    (result,) = checked(project.root)
    assert result.verdict == "pass"
    assert [str(item) for item in result.followed] == [
        f"exports/job.py → jobs/job.py (renamed in {commit[:7]})"
    ]
    assert (str(result.evidence), linted(project.root)) == (
        "jobs/job.py:3", ((), ["exports/job.py > jobs/job.py"]),
    )  # fmt: skip
    assert (project.root / RECORD).read_bytes() == before


def test_followed_check_still_fails_when_the_promise_is_broken(project: GitProject) -> None:
    plant(project)
    move(project, "exports/job.py", "jobs/job.py")
    project.write("jobs/job.py", CODE.replace("3", "4"))
    (result,) = checked(project.root)
    assert (result.verdict, str(result.evidence)) == ("violated", "jobs/job.py:3")


def test_several_moves_are_followed_one_after_the_other(project: GitProject) -> None:
    plant(project)
    first = move(project, "exports/job.py", "jobs/job.py")
    project.write("jobs/job.py", CODE + "MORE = 1\n")
    project.commit("change it")
    second = move(project, "jobs/job.py", "work/jobs/row.py")
    (result,) = checked(project.root)
    assert result.verdict == "pass"
    assert [item.commits for item in result.followed] == [(first, second)]


def test_move_that_is_only_staged_is_followed_so_that_a_hook_lets_it_through(
    project: GitProject,
) -> None:
    plant(project)
    (project.root / "jobs").mkdir()
    project("mv", "exports/job.py", "jobs/job.py")
    (result,) = checked(project.root)
    assert result.verdict == "pass"
    assert "(renamed in git's index)" in str(result.followed[0])


def test_move_forth_and_back_and_elsewhere_ends_where_the_file_is(project: GitProject) -> None:
    plant(project)
    for old, new in (("exports", "jobs"), ("jobs", "exports"), ("exports", "work")):
        move(project, f"{old}/job.py", f"{new}/job.py")
    (result,) = checked(project.root)
    assert [item.to for item in result.followed] == ["work/job.py"]


def test_move_on_a_merged_branch_is_followed(project: GitProject) -> None:
    plant(project)
    project("checkout", "-q", "-b", "side")
    move(project, "exports/job.py", "jobs/job.py")
    project("checkout", "-q", "main")
    project.write("README.md", "meanwhile\n")
    project.commit("on main")
    project("merge", "-q", "--no-ff", "-m", "merge", "side")
    (result,) = checked(project.root)
    assert result.verdict == "pass"


def test_record_written_while_a_branch_moved_the_file_is_followed(project: GitProject) -> None:
    project.write("exports/job.py", CODE)
    project.commit()
    project("checkout", "-q", "-b", "side")
    move(project, "exports/job.py", "jobs/job.py")
    project("checkout", "-q", "main")
    project.write(RECORD, with_code(house(1), "exports/job.py") + BLOCK)
    project.commit("the decision")
    project("merge", "-q", "-m", "merge", "side")
    (result,) = checked(project.root)
    assert result.verdict == "pass"


# --- what is not followed ----------------------------------------------------------------------


def test_deleted_file_fails_as_before(project: GitProject) -> None:
    plant(project)
    project("rm", "-q", "exports/job.py")
    commit = project.commit("delete it")
    (result,) = checked(project.root)
    assert result.verdict == "missing"
    assert result.message == f"there is no file exports/job.py; deleted in {commit[:7]}"
    (finding,), followed = linted(project.root)
    assert (finding.code, followed) == ("ADR602", [])


def test_copy_is_no_rename(project: GitProject) -> None:
    plant(project)
    project.write("jobs/job.py", CODE)
    project.commit("copy it")
    project("rm", "-q", "exports/job.py")
    project.commit("delete the first")
    assert [result.verdict for result in checked(project.root)] == ["missing"]


def test_file_deleted_after_its_move_fails(project: GitProject) -> None:
    plant(project)
    move(project, "exports/job.py", "jobs/job.py")
    project("rm", "-q", "jobs/job.py")
    project.commit("delete it")
    assert [result.verdict for result in checked(project.root)] == ["missing"]


def test_newcomer_under_the_name_of_a_deleted_file_is_not_followed(project: GitProject) -> None:
    plant(project)
    project("rm", "-q", "exports/job.py")
    project.commit("delete it")
    project.write("exports/job.py", "LIMIT = 3\n# quite another file\n" * 9)
    project.commit("another of that name")
    move(project, "exports/job.py", "jobs/job.py")
    assert [result.verdict for result in checked(project.root)] == ["missing"]


def test_renames_before_the_record_was_written_are_not_its_own(project: GitProject) -> None:
    project.write("exports/job.py", CODE)
    project.commit()
    move(project, "exports/job.py", "jobs/job.py")
    project.write(RECORD, with_code(house(1), "exports/job.py") + BLOCK)
    project.commit("names what was gone already")
    assert [result.verdict for result in checked(project.root)] == ["missing"]
    assert [finding.code for finding in linted(project.root)[0]] == ["ADR602"]


def test_text_that_is_not_committed_must_name_paths_as_they_are(project: GitProject) -> None:
    project.write("exports/job.py", CODE)
    project.record(1, "use-queues")
    project.commit()
    move(project, "exports/job.py", "jobs/job.py")
    project.write("docs/adr/0002-other.md", with_code(house(2, "Other"), "exports/job.py") + BLOCK)
    assert [result.verdict for result in checked(project.root)] == ["missing"]


def test_status_and_amendments_written_after_the_move_change_nothing(project: GitProject) -> None:
    plant(project, status="Proposed")
    move(project, "exports/job.py", "jobs/job.py")
    text = (project.root / RECORD).read_text("utf-8").replace("Proposed", "Accepted")
    project.write(RECORD, text + "\n> **Amended 2026-11-26:** more.\n")
    project.commit("accept")
    (result,) = checked(project.root)
    assert result.verdict == "pass"


def test_record_that_moved_itself_is_followed_from_its_first_words(project: GitProject) -> None:
    plant(project)
    move(project, "exports/job.py", "jobs/job.py")
    move(project, "docs/adr", "doc/adr")
    project.write(
        "doc/adr/0001-use-queues.md",
        (project.root / "doc/adr/0001-use-queues.md").read_text("utf-8") + "\nMore.\n",
    )
    project.commit("more")
    (result,) = checked(project.root)
    assert result.verdict == "pass"


def test_shallow_clone_says_that_the_history_is_not_there(
    project: GitProject, tmp_path: Path
) -> None:
    plant(project)
    move(project, "exports/job.py", "jobs/job.py")
    clone = tmp_path / "clone"
    project("clone", "-q", "--depth", "1", f"file://{project.root}", str(clone))
    (result,) = checked(clone)
    assert result.verdict == "missing"
    assert result.message.endswith("is not there: git fetch --unshallow")
    (finding,), _ = linted(clone)
    assert finding.message.endswith("is not there: git fetch --unshallow")


def test_without_git_the_path_is_dead_and_the_remedy_said(tmp_path: Path) -> None:
    (tmp_path / "docs/adr").mkdir(parents=True)
    (tmp_path / RECORD).write_text(with_code(house(1), "exports/job.py") + BLOCK, "utf-8")
    (result,) = checked(tmp_path)
    assert result.verdict == "missing"
    assert result.message.endswith("check in a clone")
    (finding,), _ = linted(tmp_path)
    assert finding.message.endswith("check in a clone")


# --- folders, globs, modules, other kinds ------------------------------------------------------


def planted_folder(project: GitProject, block: str) -> None:
    for name in ("a", "b", "c", "deep/d"):
        project.write(f"exports/{name}.py", f"NAME = {name!r}\n" * 8)
    project.write(RECORD, with_code(house(1), "exports/") + f"\n```adr-check\n{block}\n```\n")
    project.commit("the decision")


def test_folder_is_followed_to_where_most_of_its_files_went(project: GitProject) -> None:
    planted_folder(project, '[[path-exists]]\npath = "exports/"')
    (project.root / "jobs/deep").mkdir(parents=True)
    (project.root / "audit").mkdir()
    for old, new in (("a", "jobs/a"), ("b", "jobs/b"), ("c", "audit/c"), ("deep/d", "jobs/deep/d")):
        project("mv", f"exports/{old}.py", f"{new}.py")
    project.commit("move")
    (result,) = checked(project.root)
    assert result.verdict == "pass"
    assert [item.to for item in result.followed] == ["jobs"]
    shutil.rmtree(project.root / "exports")  # what `git mv` leaves: empty folders
    assert linted(project.root) == ((), ["exports > jobs"])


def test_folder_whose_files_went_apart_is_dead_and_says_where_they_are(
    project: GitProject,
) -> None:
    planted_folder(project, '[[path-exists]]\npath = "exports"')
    (project.root / "jobs").mkdir()
    (project.root / "audit").mkdir()
    for old, new in (("a", "jobs/a"), ("b", "jobs/b"), ("c", "audit/c"), ("deep/d", "audit/d")):
        project("mv", f"exports/{old}.py", f"{new}.py")
    project.commit("move")
    (result,) = checked(project.root)
    assert result.verdict == "violated"
    assert result.message == ("there is no exports; its files went to jobs (2), audit (2)")


def test_folder_of_which_most_was_deleted_is_dead(project: GitProject) -> None:
    planted_folder(project, '[[path-exists]]\npath = "exports"')
    (project.root / "jobs").mkdir()
    project("mv", "exports/a.py", "jobs/a.py")
    project("rm", "-rq", "exports")
    project.commit("move one, delete three")
    assert [result.verdict for result in checked(project.root)] == ["violated"]


@pytest.mark.parametrize("files", ["exports/**", "exports/*.py", "exports"])
@pytest.mark.parametrize(("content", "verdict"), [("", "pass"), ("import celery\n", "violated")])
def test_glob_of_a_folder_that_is_gone_is_followed_file_by_file(
    project: GitProject, files: str, content: str, verdict: str
) -> None:
    block = f'[[import-forbidden]]\nfiles = ["{files}"]\nmodules = ["celery"]'
    planted_folder(project, block)
    for old, new in (("a", "jobs/a"), ("b", "audit/b"), ("c", "run/c"), ("deep/d", "run/d")):
        move(project, f"exports/{old}.py", f"{new}.py")
    project.write("audit/b.py", content + (project.root / "audit/b.py").read_text("utf-8"))
    project.write("audit/unrelated.py", "import celery\n")  # never was in exports
    (result,) = checked(project.root)
    assert result.verdict == verdict


def test_exception_of_a_rule_moves_with_its_file(project: GitProject) -> None:
    project.write("src/wire.py", "import celery\n" + "A = 1\n" * 9)
    project.write("src/plain.py", "B = 1\n" * 9)
    block = (
        '[[import-forbidden]]\nfiles = ["src/**"]\nexcept = ["src/wire.py"]\nmodules = ["celery"]'
    )
    project.write(RECORD, house(1) + f"\n```adr-check\n{block}\n```\n")
    project.commit("the decision")
    move(project, "src/wire.py", "src/deep/wire.py")
    assert [result.verdict for result in checked(project.root)] == ["pass"]


@pytest.mark.parametrize("package", ["", "src/"])
def test_ban_of_a_module_holds_for_it_under_its_new_name(project: GitProject, package: str) -> None:
    project.write(f"{package}shop/__init__.py", "")
    project.write(f"{package}shop/exports/job.py", CODE)
    project.write(f"{package}shop/web.py", "import json\n")
    block = (
        f'[[import-forbidden]]\nfiles = ["{package}shop/web.py"]\nmodules = ["shop.exports.job"]'
    )
    project.write(RECORD, house(1) + f"\n```adr-check\n{block}\n```\n")
    project.commit("the decision")
    move(project, f"{package}shop/exports/job.py", f"{package}shop/jobs/job.py")
    assert [result.verdict for result in checked(project.root)] == ["pass"]
    project.write(f"{package}shop/web.py", "from shop.jobs import job\n")
    assert [result.verdict for result in checked(project.root)] == ["violated"]


def test_ban_of_a_package_that_was_split_holds_for_all_its_parts(project: GitProject) -> None:
    project.write("shop/exports/job.py", CODE)
    project.write("shop/exports/row.py", "def row() -> None: ...\n" * 5)
    project.write("shop/web.py", "import json\n")
    block = '[[import-forbidden]]\nfiles = ["shop/web.py"]\nmodules = ["shop.exports"]'
    project.write(RECORD, house(1) + f"\n```adr-check\n{block}\n```\n")
    project.commit("the decision")
    move(project, "shop/exports/job.py", "shop/jobs/job.py")
    move(project, "shop/exports/row.py", "shop/rows/row.py")
    project.write("shop/web.py", "from shop.rows.row import row\n")
    assert [result.verdict for result in checked(project.root)] == ["violated"]


KINDS = {
    "symbol-exists": 'file = "exports/job.py"\nsymbol = "Job"',
    "regex": 'files = ["exports/job.py"]\npattern = "^LIMIT"',
    "test": 'node = "exports/job.py::test_it"',
    "config": 'file = "exports/limits.json"\npointer = "/limit"\nvalue = 3',
    "benchmark": 'file = "exports/limits.json"\npointer = "/limit"\noperator = "=="\nvalue = 3',
    "dependency": 'package = "celery"\nfiles = ["exports/requirements.txt"]',
    "path-exists": 'path = "exports/*.json"',
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_check_follows_its_files(project: GitProject, kind: str) -> None:
    project.write("exports/job.py", CODE + "\n\ndef test_it():\n    assert LIMIT\n")
    project.write("exports/limits.json", '{"limit": 3}\n')
    project.write("exports/requirements.txt", "celery>=5\n")
    project.write(RECORD, house(1) + f"\n```adr-check\n[[{kind}]]\n{KINDS[kind]}\n```\n")
    project.commit("the decision")
    move(project, "exports", "jobs")
    (result,) = checked(project.root)
    assert (result.verdict, bool(result.followed)) == ("pass", True), result.message


def test_symbol_that_went_to_another_file_is_a_matter_of_an_amendment(project: GitProject) -> None:
    plant(
        project, '\n```adr-check\n[[symbol-exists]]\nfile = "exports/job.py"\nsymbol = "Job"\n```\n'
    )
    project.write("exports/job.py", CODE.replace("class Job:\n    pass\n", ""))
    project.write("jobs/row.py", "class Job:\n    pass\n")
    project.commit("split")
    (result,) = checked(project.root)
    assert result.verdict == "violated"
    assert "correct the place in the block" in result.message
    assert "> **Amended YYYY-MM-DD:**" in result.message


def test_end_of_a_path_is_followed_when_one_file_alone_had_it(project: GitProject) -> None:
    project.write("src/shop/exports/job.py", CODE)
    project.write("src/shop/exports/deep/row.py", CODE * 2)
    project.write("src/web/exports/row.py", "A = 1\n" * 9)
    project.write("tests/deep/row.py", "B = 1\n" * 9)
    names = "exports/job.py`, `deep/row.py`, `exports/deep/"
    project.write(RECORD, house(1).replace("src/app.py", names))
    project.commit("the decision")
    assert linted(project.root) == ((), [])
    move(project, "src/shop/exports/job.py", "src/shop/jobs/job.py")
    move(project, "src/shop/exports/deep/row.py", "src/shop/work/row.py")
    move(project, "tests/deep/row.py", "tests/work/row.py")  # which of the two was meant?
    shutil.rmtree(project.root / "src/shop/exports")
    findings, followed = linted(project.root)
    assert [finding.subject for finding in findings] == ["deep/row.py"]
    assert followed == [
        "src/shop/exports/job.py > src/shop/jobs/job.py",
        "src/shop/exports/deep > src/shop/work",
    ]


def test_link_of_a_decided_record_is_followed_and_of_a_proposed_one_offered(
    project: GitProject,
) -> None:
    project.write("docs/guide.md", "text\n" * 20)
    project.write("src/app.py", "")
    link = "\nSee [the guide](../guide.md#top).\n"
    project.write(RECORD, house(1) + link)
    project.write("docs/adr/0002-other.md", house(2, "Other", "Proposed") + link)
    project.commit("the decision")
    move(project, "docs/guide.md", "docs/guides/export.md")
    (finding,), followed = linted(project.root)
    assert followed == ["docs/guide.md > docs/guides/export.md"]
    assert (finding.path.name, finding.moved_to) == ("0002-other.md", "docs/guides/export.md")


def test_project_in_a_folder_of_a_larger_repository(project: GitProject) -> None:
    project.write("shop/adrkit.toml", 'directory = "docs/adr"\n')
    project.write("shop/exports/job.py", CODE)
    project.write(f"shop/{RECORD}", with_code(house(1), "exports/job.py") + BLOCK)
    project.commit("the decision")
    move(project, "shop/exports/job.py", "shop/jobs/job.py")
    assert [result.verdict for result in checked(project.root / "shop")] == ["pass"]
    move(project, "shop/jobs/job.py", "elsewhere/job.py")  # no longer the project's
    assert [result.verdict for result in checked(project.root / "shop")] == ["missing"]


# --- commands ----------------------------------------------------------------------------------


def test_why_knows_a_file_by_its_older_name(project: GitProject) -> None:
    plant(project)
    move(project, "exports/job.py", "jobs/job.py")
    config = load_config(project.root)
    git = Git.find(project.root)
    found = governing(
        ProjectFiles(project.root, git), RecordRepository.of(config).list(), "jobs/job.py",
        Renames(project.root, git, config.directory),
    )  # fmt: skip
    assert [(item.link.value, item.detail) for item in found] == [
        ("cites", "exports/job.py (now jobs/job.py)"),
        ("checks", "setting: LIMIT == 3 (now jobs/job.py)"),
    ]


def test_commands_report_what_they_followed(project: GitProject) -> None:
    plant(project)
    commit = move(project, "exports/job.py", "jobs/job.py")
    run = CliRunner().invoke
    at = ["-C", str(project.root)]
    told = run(app, [*at, "check", "--verbose"])
    assert told.exit_code == 0
    assert f"followed: exports/job.py → jobs/job.py (renamed in {commit[:7]})" in told.stdout
    assert "1 paths followed through renames" in told.stdout
    entry = {"path": "exports/job.py", "to": "jobs/job.py", "commits": [commit]}
    assert json.loads(run(app, [*at, "check", "-f", "json"]).stdout)["results"][0]["followed"] == [
        entry
    ]
    assert json.loads(run(app, [*at, "lint", "-f", "json"]).stdout)["followed"] == [entry]
    assert "1 paths followed" in run(app, [*at, "lint"]).stdout
    assert "(now jobs/job.py)" in run(app, [*at, "why", "jobs/job.py"]).stdout


def test_site_shows_where_the_code_is_now(project: GitProject) -> None:
    plant(project)
    move(project, "exports/job.py", "jobs/job.py")
    config = load_config(project.root)
    renames = Renames(project.root, Git.find(project.root), config.directory)
    pages = build_site(RecordRepository.of(config).list(), project.root, renames=renames)
    page = pages["0001-use-queues.html"].decode()
    assert "<code>exports/job.py</code> now <code>jobs/job.py</code>" in page


def test_history_is_read_in_as_many_calls_for_many_paths_as_for_one(
    project: GitProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        project.write(f"exports/m{number}.py", f"NAME = {number}\n" * 9)
    paths = ", ".join(f'"exports/m{number}.py"' for number in range(40))
    project.write(RECORD, house(1) + f"\n```adr-check\n[[path-exists]]\npath = [{paths}]\n```\n")
    project.commit("the decision")
    move(project, "exports", "jobs")
    calls: list[tuple[str, ...]] = []
    ran = Git.run

    def counted(git: Git, *arguments: str, stdin: bytes | None = None) -> bytes:
        calls.append(arguments)
        return ran(git, *arguments, stdin=stdin)

    monkeypatch.setattr(Git, "run", counted)
    (result,) = checked(project.root)
    assert (result.verdict, len(result.followed)) == ("pass", 40)
    assert len(calls) < 20, calls
