from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.testing import GitProject

runner = CliRunner()


def adr(directory: Path, *arguments: str) -> tuple[int, str, str]:
    result = runner.invoke(app, ["-C", str(directory), *arguments])
    return result.exit_code, result.stdout, result.stderr


def changed(project: GitProject) -> GitProject:
    path = project.record(1, "use-queues")
    project.commit()
    path.write_text(path.read_text().replace("for all of it", "for some of it"))
    return project


def test_clean_audit_says_what_was_compared(project: GitProject) -> None:
    project.record(1, "use-queues")
    commit = project.commit()
    code, out, err = adr(project.root, "audit", "--history")
    assert (code, err) == (0, "")
    assert out == (
        f"1 decided records against {commit[:10]} (merge base with main), "
        "1 along 1 commits of HEAD: 0 findings\n"
    )


def test_history_is_walked_unasked_where_head_is_the_base(project: GitProject) -> None:
    changed(project)
    commit = project.commit()
    code, out, _ = adr(project.root, "audit")
    assert (code, "content-changed: was" in out, f"(since commit {commit[:10]})" in out) == (
        1, True, True,
    )  # fmt: skip
    assert "1 along 2 commits of HEAD" in out
    assert adr(project.root, "audit", "--base", "HEAD")[0] == 0  # chosen by name: nothing more
    record = project.records / "0001-use-queues.md"
    text = record.read_text()
    record.write_text(f"{text}\n> **Amended 2026-02-01:** some of it is enough\n")
    assert adr(project.root, "audit")[0] == 0  # mended, though not committed yet
    record.write_text(text)
    assert adr(project.root, "audit")[0] == 1
    project("checkout", "-q", "-b", "branch")
    project.write("src/app.py", "")
    project.commit()
    assert adr(project.root, "audit")[0] == 0  # a branch answers for its own changes


def test_best_effort_audits_what_there_is_and_says_what_is_missing(
    project: GitProject, tmp_path: Path
) -> None:
    project.record(1, "use-queues")
    project.commit()
    first = project.write("src/app.py", "")
    project.commit()
    source = project.root.as_uri()
    project("clone", "-q", "--depth", "1", source, str(tmp_path / "one"))
    code, out, err = adr(tmp_path / "one", "audit", "--best-effort")
    assert (code, "1 decided records against" in out) == (0, True)
    assert "audited only in part" in err
    assert "shallow clone" in err
    record = tmp_path / "one/docs/adr/0001-use-queues.md"
    record.write_text(record.read_text().replace("for all of it", "for some of it"))
    assert adr(tmp_path / "one", "audit", "--best-effort")[0] == 1
    first.unlink()
    changed(project)
    project.commit()
    project("clone", "-q", "--depth", "2", source, str(tmp_path / "two"))
    code, out, err = adr(tmp_path / "two", "audit", "--best-effort")
    assert (code, "content-changed" in out, "the oldest commit there is" in err) == (1, True, True)


def test_best_effort_without_a_repository_says_that_nothing_was_audited(
    project: GitProject, tmp_path: Path
) -> None:
    record = project.record(1, "use-queues")
    plain = tmp_path / "plain" / "docs" / "adr"
    plain.mkdir(parents=True)
    assert adr(tmp_path / "plain", "audit", "--best-effort")[0] == 2  # no records: still an error
    (plain / record.name).write_bytes(record.read_bytes())
    code, out, err = adr(tmp_path / "plain", "audit", "--best-effort")
    assert (code, out) == (0, "")
    assert err.startswith("warning: NOT AUDITED: ")


def test_change_exits_with_one_and_names_place_and_remedy(project: GitProject) -> None:
    code, out, _ = adr(changed(project).root, "audit")
    assert code == 1
    place, remedy, _ = out.splitlines()
    assert place == (
        "docs/adr/0001-use-queues.md:9: ADR-0001 content-changed: "
        "was 'Use Use Queues for all of it.', is 'Use Use Queues for some of it.'"
    )
    assert "**Amended YYYY-MM-DD:**" in remedy


def test_formats_agree(project: GitProject) -> None:
    root = changed(project).root
    code, out, _ = adr(root, "audit", "-f", "json")
    (found,) = json.loads(out)["findings"]
    assert (code, found["rule"], found["line"]) == (1, "content-changed", 9)
    code, out, _ = adr(root, "audit", "-f", "sarif")
    (result,) = json.loads(out)["runs"][0]["results"]
    assert (code, result["ruleId"]) == (1, "adr-audit/content-changed")
    code, out, _ = adr(root, "audit", "-f", "github")
    assert (code, out.startswith("::error file=docs/adr/0001-use-queues.md,line=9,")) == (1, True)
    assert adr(root, "audit", "-f", "xml")[0] == 2


def test_change_in_history_is_reported_once_and_names_its_commit(project: GitProject) -> None:
    changed(project)
    commit = project.commit()
    code, out, _ = adr(project.root, "audit", "--history")
    assert code == 1
    assert f"(since commit {commit[:10]})" in out
    assert out.count("content-changed") == 1
    assert adr(project.root, "audit", "--history", "--since", "HEAD")[0] == 0
    (project.root / "adrkit.toml").write_text(f'[audit]\nsince = "{commit}"\n')
    assert adr(project.root, "audit", "--history")[0] == 0


def test_wrong_use_and_places_exit_with_two(project: GitProject, tmp_path: Path) -> None:
    project.record(1, "use-queues")
    code, out, _ = adr(project.root, "audit")
    assert (code, "no commit yet" in out) == (0, True)
    project.commit()
    for arguments in (["--base", "gone"], ["--since", "HEAD"], ["--history", "--since", "gone"]):
        code, _, err = adr(project.root, "audit", *arguments)
        assert (code, "remedy: " in err) == (2, True), arguments
    (project.root / "adrkit.toml").write_text("[audit]\nbranches = 'x'\n")
    assert adr(project.root, "audit")[0] == 2
    (tmp_path / "plain" / "docs" / "adr").mkdir(parents=True)
    code, _, err = adr(tmp_path / "plain", "audit")
    assert (code, "not inside a git work tree" in err) == (2, True)


def test_project_without_records_is_an_error_and_a_lost_directory_a_finding(
    project: GitProject,
) -> None:
    project.commit()
    assert adr(project.root, "audit")[0] == 2
    project.record(1, "use-queues")
    project.commit()
    project("rm", "-rq", "docs")
    code, out, _ = adr(project.root, "audit")
    assert (code, "record-deleted" in out) == (1, True)


def test_record_without_a_known_status_in_the_base_is_said_to_be_unguarded(
    project: GitProject,
) -> None:
    project.record(1, "use-queues", "Acepted")
    project.commit()
    code, _, err = adr(project.root, "audit")
    assert code == 0
    assert "0001-use-queues.md has no known status in the base and is not guarded" in err
