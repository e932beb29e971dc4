from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from adrkit.checks import context
from adrkit.checks.python_module import PythonModule, parse_module
from adrkit.cli.commands import app
from adrkit.git import Git
from adrkit.review import RULES, Review, review
from adrkit.testing import GitProject, house

BLOCK = """
## Confirmation

```adr-check
[[setting]]
name = "three attempts"
file = "src/settings.py"
attribute = "RETRIES"
operator = "=="
value = 3
reason = "a fourth attempt costs money"

[[path-exists]]
path = "src/queue.py"
```
"""


@pytest.fixture
def decided(project: GitProject) -> GitProject:
    """main with two records, one with checks, and code that cites them; HEAD is on branch work."""
    project.write("docs/adr/0001-use-queues.md", house(1) + BLOCK)
    project.write(
        "docs/adr/0002-use-logs.md", house(2, "Use Logs").replace("src/app.py", "src/logs.py")
    )
    project.write("src/settings.py", "# ADR-0001\nRETRIES = 3\n")
    project.write("src/queue.py", "class Queue: ...\n")
    project.write("src/app.py", "# ADR-0002\nX = 1\n")
    project.write("src/logs.py", "Y = 1\n")
    project.write("pyproject.toml", '[project]\nname = "x"\ndependencies = [\n  "rich",\n]\n')
    project.commit("start")
    project("checkout", "-q", "-b", "work")
    return project


def reviewed(project: GitProject, message: str = "change", **options: str) -> Review:
    project.commit(message)
    return review(Git(project.root), project.root, "main", "HEAD", **options)


def rules(found: Review) -> list[tuple[str, str, str, int]]:
    return [(f.rule, f.level, f.path, f.line) for f in found.findings]


def test_what_is_the_same_in_both_commits_is_parsed_once(
    decided: GitProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that fails is held against the base, too; who waits for a review waits for each
    file of the project that is parsed."""
    again = BLOCK.replace("RETRIES", "LIMIT").replace("three attempts", "limit")
    decided.write("docs/adr/0003-use-limits.md", house(3, "Use Limits") + again)
    decided.write("src/settings.py", "RETRIES = 3\nLIMIT = 3\n")
    decided.write("src/other.py", "")
    decided("checkout", "-q", "main")
    decided.commit("two checks of one file")
    decided("checkout", "-q", "-B", "work")
    parsed: list[str] = []

    def parse(path: str, data: bytes) -> PythonModule:
        parsed.append(path)
        return parse_module(path, data)

    monkeypatch.setattr(context, "parse_module", parse)
    (decided.root / "src/queue.py").unlink()
    found = reviewed(decided)
    assert "broken-check" in {f.rule for f in found.findings}
    assert parsed == ["src/settings.py"]


def test_broken_check_is_found_where_the_diff_breaks_it(decided: GitProject) -> None:
    decided.write("src/settings.py", "# ADR-0001\n\nRETRIES = 4\n")
    found = reviewed(decided)
    assert rules(found) == [("broken-check", "error", "src/settings.py", 3)]
    (finding,) = found.findings
    assert (finding.record, finding.number) == ("ADR-0001", 1)
    assert "three attempts" in finding.message
    assert "a fourth attempt costs money" in finding.message
    assert finding.place is not None
    assert finding.place[0] == "docs/adr/0001-use-queues.md"


def test_what_was_broken_before_is_not_the_diff_s(decided: GitProject) -> None:
    decided("checkout", "-q", "main")
    decided.write("src/settings.py", "# ADR-0001\nRETRIES = 4\n# ADR-0099\n")
    decided.commit("broken on main")
    decided("checkout", "-q", "-B", "work")
    decided.write("src/settings.py", "# ADR-0001\n\n\nRETRIES = 5\n# ADR-0099\n")
    assert rules(reviewed(decided)) == []


def test_second_citation_of_what_is_not_there_is_found_beside_an_old_one(
    decided: GitProject,
) -> None:
    decided("checkout", "-q", "main")
    decided.write("src/app.py", "# ADR-0099\n")
    decided.commit("broken on main")
    decided("checkout", "-q", "-B", "work")
    decided.write("src/app.py", "X = 1\n\n# ADR-0099\n# and ADR-0099\n")
    assert rules(reviewed(decided)) == [("stale-citation", "error", "src/app.py", 4)]


def test_number_made_up_for_a_test_is_a_note_and_one_of_a_removed_record_an_error(
    decided: GitProject,
) -> None:
    decided.write("tests/test_app.py", "# ADR-0099\n")
    decided.commit()
    assert rules(reviewed(decided)) == [("stale-citation", "note", "tests/test_app.py", 1)]
    (decided.records / "0002-use-logs.md").unlink()
    decided.write("tests/test_app.py", "# ADR-0099 and ADR-0002\n")
    decided.commit()
    found = {(f.level, f.number) for f in reviewed(decided).findings if f.rule == "stale-citation"}
    assert {("note", 99), ("error", 2)} <= found


def test_range_in_which_nothing_changed_finds_nothing(decided: GitProject) -> None:
    assert review(Git(decided.root), decided.root, "HEAD", "HEAD").findings == ()


def test_minified_line_of_two_megabytes_does_not_hang_the_review(decided: GitProject) -> None:
    decided.write("src/vendored.js", "a='b c';" * 250_000 + "if(isAdmin(user)){}\n")
    limit = time.process_time() + 60  # minutes before lines of that length were passed over
    reviewed(decided)
    assert time.process_time() < limit


def test_check_that_is_taken_out_of_a_record_in_force_is_found(decided: GitProject) -> None:
    text = (decided.records / "0001-use-queues.md").read_text()
    decided.write(
        "docs/adr/0001-use-queues.md", text.replace('[[path-exists]]\npath = "src/queue.py"\n', "")
    )
    found = reviewed(decided)
    assert [f.rule for f in found.findings] == ["check-removed"]
    assert "1 path-exists" in found.findings[0].message


def test_deleted_file_breaks_the_check_and_the_record_that_names_it(decided: GitProject) -> None:
    (decided.root / "src/queue.py").unlink()
    (decided.root / "src/logs.py").unlink()
    found = reviewed(decided)
    assert sorted(f.rule for f in found.findings) == ["broken-check", "stale-path"]
    stale = next(f for f in found.findings if f.rule == "stale-path")
    assert (stale.path, stale.record) == ("src/logs.py", "ADR-0002")


def test_renamed_file_is_followed(decided: GitProject) -> None:
    decided("mv", "src/logs.py", "src/journal.py")
    decided("mv", "src/queue.py", "src/queues.py")
    assert rules(reviewed(decided)) == []


def test_superseded_record_makes_its_citations_stale(decided: GitProject) -> None:
    CliRunner().invoke(app, ["-C", str(decided.root), "supersede", "2", "--by", "1"])
    found = reviewed(decided)
    assert ("stale-citation", "error", "src/app.py", 1) in rules(found)


def test_changed_files_are_shown_with_what_governs_them(decided: GitProject) -> None:
    decided.write("src/settings.py", "# ADR-0001\nRETRIES = 3\nZ = 1\n")
    decided.write("src/free.py", "")
    found = reviewed(decided)
    assert [(path, {r.record.label for r in reasons}) for path, reasons in found.governed] == [
        ("src/settings.py", {"ADR-0001"})
    ]


@pytest.mark.parametrize(
    ("path", "text", "rule", "subject"),
    [
        ("pyproject.toml", '[project]\nname="x"\ndependencies=["rich", "celery>=5"]\n',
         "dependency", "celery"),
        ("requirements.txt", "celery==5.4\n", "dependency", "celery"),
        ("web/package.json", '{"dependencies": {"@scope/left": "1"}}', "dependency", "@scope/left"),
        ("go.mod", "module x\nrequire github.com/a/b v1.0.0\n", "dependency", "github.com/a/b"),
        ("Cargo.toml", '[dependencies]\nserde = "1"\n', "dependency", "serde"),
        ("Gemfile", "gem 'sidekiq'\n", "dependency", "sidekiq"),
        ("pom.xml", "<dependency><groupId>g</groupId><artifactId>a</artifactId></dependency>",
         "dependency", "g/a"),
        ("build.gradle.kts", 'implementation("io.ktor:ktor:3")\n', "dependency", "io.ktor/ktor"),
        ("compose.yaml", "services:\n  redis:\n    image: redis\n", "service", "service redis"),
        ("Dockerfile", "FROM scratch\n", "service", "Dockerfile"),
        ("deploy/search.Dockerfile", "FROM scratch\n", "service", "search.Dockerfile"),
        ("Containerfile.web", "FROM scratch\n", "service", "Containerfile.web"),
        ("k8s/a.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\n",
         "service", "Deployment api"),
        ("Procfile", "worker: celery\n", "service", "process worker"),
        ("main.tf", 'resource "aws_sqs_queue" "jobs" {}\n', "service", "aws_sqs_queue jobs"),
        ("app/migrations/0002_x.py", "X = 1\n", "schema", "0002_x.py"),
        ("db/schema.sql", "create table a (b int);\n", "schema", "create table"),
        ("api/a.proto", "message Order {\n}\n", "schema", "message Order"),
        ("src/login.py", "import jwt\n", "auth", "library"),
        ("src/view.py", "permission_classes = [AllowAny]\n", "auth", "access rule"),
        ("src/call.py", "get(url, verify=False)\n", "auth", "certificate check"),
        ("src/web.ts", "import jwt from 'jsonwebtoken'\n", "auth", "library"),
    ],
)  # fmt: skip
def test_diff_that_looks_like_a_decision_is_found(
    decided: GitProject, path: str, text: str, rule: str, subject: str
) -> None:
    decided.write(path, text)
    found = reviewed(decided)
    assert [(f.rule, f.level, f.path) for f in found.findings] == [
        (f"undecided-{rule}", "warning", path)
    ]
    assert subject in found.findings[0].message


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pyproject.toml", '[project]\nname="x"\ndependencies=["rich>=14"]\n'),
        ("requirements.txt", "rich==13\n"),  # declared elsewhere already
        ("requirements-dev.txt", "pytest\n"),
        ("requirements/lock.txt", "celery==5.4 --hash=sha256:00\n"),
        ("package.json", '{"devDependencies": {"eslint": "9"}}'),
        ("go.mod", "module x\nrequire github.com/a/b v1.0.0 // indirect\n"),
        ("package.json", "{not json"),
        ("compose.yaml", "services: [1, 2\n"),
        ("k8s/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"),
        ("tests/test_x.py", "import jwt\nverify=False\n"),
        ("src/dockerfile_reader.py", "X = 1\n"),
        ("src/dockerfile.py", "X = 1\n"),
        ("src/Dockerfile.dockerignore", "*\n"),
        ("src/smtp.py", "class SmtpSecurity(StrEnum):\n    TLS = 1\n\n\nNotOAuth2Header = 1\n"),
        ("docs/x.sql", "create table a (b int);\n"),
        ("src/x.py", '# import jwt\nlog("call it with verify=False please")\n'),
        ("app/migrations/__init__.py", ""),
        ("db/query.sql", "select 1; -- create table a\n"),
        ("data.bin", "\0\0\0"),
    ],
)
def test_everyday_change_is_no_decision(decided: GitProject, path: str, text: str) -> None:
    decided.write(path, text)
    assert rules(reviewed(decided)) == []


def test_diff_that_brings_its_record_is_decided(decided: GitProject) -> None:
    decided.write("requirements.txt", "celery\n")
    decided.write("docs/adr/draft-use-celery-bcdfghjk.md", house(3).replace("0003", "draft-x"))
    found = reviewed(decided)
    assert rules(found) == []
    assert len(found.records) == 1


def test_dependency_that_a_record_speaks_of_is_decided(decided: GitProject) -> None:
    decided("checkout", "-q", "main")
    record = decided.records / "0002-use-logs.md"
    record.write_text(record.read_text() + "\nUsers send requests; `httpx` sends ours.\n")
    decided.commit("speak of it")
    decided("checkout", "-q", "-B", "work")
    # "Use Queues for all of it." and `httpx` are names, "requests" is a word.
    decided.write("requirements.txt", "queues\nhttpx\nrequests\n")
    found = reviewed(decided)
    assert [f.message.split(":")[0] for f in found.findings] == ["new dependency requests"]


@pytest.mark.parametrize(
    ("message", "excused"),
    [
        ("adr-exception: 0001 the load test of May wants four", True),
        ("x\n\nadr-exception: ADR-1: the load test wants four", True),
        ("adr-exception: 0002 the load test wants four", False),
        ("we spoke of adr-exception: 0001 the load test wants four", False),
    ],
)
def test_exception_in_a_commit_message(decided: GitProject, message: str, excused: bool) -> None:
    decided.write("src/settings.py", "# ADR-0001\nRETRIES = 4\n")
    found = reviewed(decided, message)
    assert [f.rule for f in found.findings] == ([] if excused else ["broken-check"])
    assert [f.excused for f in found.excused] == (
        ["the load test of May wants four" if "May" in message else "the load test wants four"]
        if excused
        else []
    )


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("adr-exception: 0001", "say why"),
        ("adr-exception: 0001 because", "say why"),
        ("adr-exception: 0077 the load test wants four", "there is no record ADR-0077"),
        ("adr-exception: everything is fine here", "name a record's number"),
    ],
)
def test_exception_without_reason_or_record_is_an_error(
    decided: GitProject, message: str, problem: str
) -> None:
    decided.write("src/settings.py", "# ADR-0001\nRETRIES = 4\n")
    found = reviewed(decided, message)
    assert {f.rule for f in found.findings} == {"broken-check", "exception-invalid"}
    assert any(problem in f.message for f in found.findings)


def test_exception_in_code_answers_for_its_file_alone(decided: GitProject) -> None:
    decided.write(
        "src/settings.py", "# ADR-0001\nRETRIES = 4  # adr-exception: 0001 the load test wants it\n"
    )
    decided.write("requirements.txt", "celery  # adr-exception: dependency decided in May */\n")
    decided.write("web/package.json", '{"dependencies": {"left": "1"}}')
    found = reviewed(decided)
    assert [(f.rule, f.path) for f in found.findings] == [
        ("undecided-dependency", "web/package.json")
    ]
    assert [f.excused for f in found.excused] == ["the load test wants it", "decided in May"]


def test_command_writes_every_format_and_fails_for_errors(
    decided: GitProject, tmp_path: Path
) -> None:
    decided.write("src/settings.py", "# ADR-0001\nRETRIES = 4\n")
    decided.write("requirements.txt", "celery\n")
    decided.commit("x")

    def run(*arguments: str, text: str | None = None) -> tuple[int, str]:
        result = CliRunner().invoke(
            app, ["-C", str(decided.root), "review", *arguments], input=text
        )
        assert isinstance(result.exception, SystemExit | None), result.exception
        return result.exit_code, result.stdout

    code, text = run("main..HEAD")
    assert code == 1
    assert "src/settings.py:2: error broken-check" in text
    assert "2 files in 1 commits" in text
    assert run() == (code, text)  # the default branch..HEAD
    assert run("main...HEAD") == run("main") == (code, text)
    found = json.loads(run("main..HEAD", "-f", "json")[1])
    assert {f["rule"] for f in found["findings"]} == {"broken-check", "undecided-dependency"}
    log = json.loads(run("main..HEAD", "--format", "sarif")[1])
    assert log["version"] == "2.1.0"
    (sarif,) = log["runs"]
    assert [rule["id"] for rule in sarif["tool"]["driver"]["rules"]] == [
        f"adr-review/{rule}" for rule in RULES
    ]
    jsonschema.validate(
        sarif["results"],
        {"type": "array", "minItems": 2, "items": {"required": [
            "ruleId", "ruleIndex", "level", "message", "locations"]}},
    )  # fmt: skip
    assert run("main..HEAD", "-f", "github")[1].startswith("::error file=src/settings.py,line=2")
    comment = run("main..HEAD", "-f", "markdown")[1]
    assert comment.startswith("<!-- adr-review -->\n")
    assert "| ❌ `broken-check` | `src/settings.py:2` |" in comment
    reasons = (
        "adr-exception: 0001 the load test wants it\nadr-exception: dependency decided in May\n"
    )
    (tmp_path / "body.md").write_text(reasons)
    assert run("main..HEAD", "--message", str(tmp_path / "body.md"))[0] == 0
    assert run("main..HEAD", "--message", "-", text=reasons)[0] == 0
    first = reasons.splitlines()[0]
    assert run("main..HEAD", "--message", "-", text=first)[0] == 0
    assert run("main..HEAD", "--message", "-", "--strict", text=first)[0] == 1
    assert run("main..HEAD", "-f", "xml")[0] == 2
    assert run("nowhere..HEAD")[0] == 2
    assert run("main..HEAD", "--message", str(tmp_path / "none"))[0] == 2


def test_strict_review_fails_for_decisions_without_a_record(decided: GitProject) -> None:
    decided.write("requirements.txt", "celery\n")
    decided.commit("x")
    at = ["-C", str(decided.root)]
    assert CliRunner().invoke(app, [*at, "review", "main..HEAD"]).exit_code == 0
    assert CliRunner().invoke(app, [*at, "review", "main..HEAD", "--strict"]).exit_code == 1
    excused = "adr-exception: dependency decided in May"
    options = ["review", "main..HEAD", "--strict", "--message", "-"]
    assert CliRunner().invoke(app, [*at, *options], input=excused).exit_code == 0


def test_review_changes_nothing_in_work_tree_and_clone(decided: GitProject) -> None:
    decided.write("src/settings.py", "# ADR-0001\nRETRIES = 4\n")
    decided.commit("x")
    decided.write("src/settings.py", "uncommitted\n")

    def state() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in decided.root.rglob("*") if p.is_file()}

    before = state()
    found = review(Git(decided.root), decided.root, "main", "HEAD")
    assert [f.rule for f in found.findings] == ["broken-check"]
    assert state() == before


def test_hostile_names_and_links_stay_inside_and_are_no_markup(
    decided: GitProject, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("# ADR-0099: secret\n\n**Status:** Accepted\n")
    (decided.records / "0099-link.md").symlink_to(secret)
    (decided.root / "src/away.py").symlink_to("/etc/passwd")
    decided.write("src/@all|`<b>x.py", "# ADR-0098\n")
    found = reviewed(decided, "adr-exception: 0001 @all <img src=x> | `y`")
    assert [f.rule for f in found.findings] == ["stale-citation"]
    assert 99 not in {r.record.number for _, reasons in found.governed for r in reasons}
    comment = CliRunner().invoke(
        app, ["-C", str(decided.root), "review", "main..HEAD", "-f", "markdown"]
    )
    table = next(line for line in comment.stdout.splitlines() if "stale-citation" in line)
    assert table.count("|") == 4
    assert "<b>" not in comment.stdout.replace("`", "", 0).split("`src/")[0]


def test_records_in_a_part_of_the_repository(tmp_path: Path) -> None:
    project = GitProject(tmp_path / "whole")
    part = tmp_path / "whole" / "part"
    project.write("part/docs/adr/0001-use-queues.md", house(1) + BLOCK)
    project.write("part/adrkit.toml", 'directory = "docs/adr"\n')
    project.write("part/src/settings.py", "RETRIES = 3\n")
    project.write("part/src/queue.py", "")
    project.commit()
    project("checkout", "-q", "-b", "work")
    project.write("part/src/settings.py", "RETRIES = 4\n")
    project.write("other/requirements.txt", "celery\n")
    project.commit()
    found = review(Git(project.root), part, "main", "HEAD")
    assert rules(found) == [("broken-check", "error", "src/settings.py", 1)]


def test_project_without_records_is_only_asked_about_decisions(project: GitProject) -> None:
    project.commit("empty")
    project("checkout", "-q", "-b", "work")
    project.write("requirements.txt", "celery\n")
    assert [f.rule for f in reviewed(project).findings] == ["undecided-dependency"]


def test_push_is_reviewed_before_it_is_taken_in(decided: GitProject, tmp_path: Path) -> None:
    """In the hook pre-receive: what was pushed waits in a place of its own, and no ref moves."""
    decided("checkout", "-q", "main")
    decided("config", "receive.denyCurrentBranch", "updateInstead")
    hook = decided.root / ".git/hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!/bin/sh\nread old new ref\ncd ..\n{shlex.quote(sys.executable)} -m adrkit "
        "review $old..$new\n"
    )
    hook.chmod(0o755)
    clone = GitProject(tmp_path / "a:clone")
    clone("pull", "-q", str(decided.root), "main")
    clone.write("src/settings.py", "# ADR-0001\nRETRIES = 4\n")
    clone.commit()
    with pytest.raises(subprocess.CalledProcessError) as refused:
        clone("push", "-q", str(decided.root), "main")
    assert "broken-check" in refused.value.stderr
    clone.write("src/settings.py", "# ADR-0001\nRETRIES = 3  # as decided\n")
    clone.commit()
    clone("push", "-q", str(decided.root), "main")
    assert "as decided" in (decided.root / "src/settings.py").read_text()
