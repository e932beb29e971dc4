"""adr graph, index and export as people run them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.index import BEGIN, END
from adrkit.testing import GitProject

runner = CliRunner()


def adr(project: GitProject, *arguments: str) -> tuple[int, str, str]:
    result = runner.invoke(app, ["-C", str(project.root), *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_graph_prints_mermaid_and_writes_dot(project: GitProject) -> None:
    project.record(1, "use-queues")
    assert adr(project, "graph") == (
        0,
        "flowchart LR\n    %% adr-check: off (drawn from the records)\n"
        '    ADR0001["ADR-0001: Use Queues"]:::accepted\n'
        "    classDef accepted fill:#dcf5e3,stroke:#1a7f37,color:#0b3517\n    %% adr-check: on\n",
        "",
    )
    code, out, _ = adr(project, "graph", "-f", "dot", "--links", "-o", "docs/graph.dot")
    assert (code, out) == (0, "")
    assert 'URL="adr/0001-use-queues.md"' in (project.root / "docs/graph.dot").read_text()


@pytest.mark.parametrize("command", ["graph", "index", "export"])
def test_no_records_is_an_error(project: GitProject, command: str) -> None:
    project.records.mkdir(parents=True)
    code, out, err = adr(project, command)
    assert (code, out) == (2, "")
    assert "holds no records" in err
    assert list(project.records.iterdir()) == []


@pytest.mark.parametrize("command", ["graph", "index", "export"])
def test_unreadable_record_is_reported_and_the_rest_done(project: GitProject, command: str) -> None:
    project.record(1, "use-queues")
    (project.records / "0002-bad.md").write_bytes(b"# ADR-0002: \xff\n")
    code, out, err = adr(project, command)
    assert code == 2
    assert "not UTF-8" in err
    assert out


def test_index_is_written_checked_and_found_out_of_date(project: GitProject) -> None:
    project.record(1, "use-queues")
    assert adr(project, "index", "--check")[0] == 1
    assert not (project.records / "README.md").exists()
    assert adr(project, "index")[:2] == (0, "wrote docs/adr/README.md: 1 records\n")
    assert adr(project, "index", "--check")[0] == 0
    before = (project.records / "README.md").read_bytes()
    project.record(2, "use-logs")
    code, out, _ = adr(project, "index", "--check")
    assert (code, out) == (1, "docs/adr/README.md is out of date: run `adr index`\n")
    assert (project.records / "README.md").read_bytes() == before
    assert adr(project, "index")[0] == 0
    assert "0002-use-logs.md" in (project.records / "README.md").read_text()


def test_index_leaves_a_readme_without_markers_alone_unless_told(project: GitProject) -> None:
    project.record(1, "use-queues")
    readme = project.write("README.md", "# Project\r\n")
    code, _, err = adr(project, "index", "README.md")
    assert code == 2
    assert "--add-markers" in err
    assert readme.read_bytes() == b"# Project\r\n"
    assert adr(project, "index", "README.md", "--add-markers")[0] == 0
    written = readme.read_bytes()
    assert written.startswith(f"# Project\r\n\r\n{BEGIN}\r\n".encode())
    assert written.endswith(f"{END}\r\n".encode())
    assert b"docs/adr/0001-use-queues.md" in written
    assert written.count(b"\n") == written.count(b"\r\n")


def test_index_file_and_columns_come_from_the_settings(project: GitProject) -> None:
    project.record(1, "use-queues")
    project.write("adrkit.toml", '[index]\nfile = "DECISIONS.md"\ncolumns = ["title"]\n')
    assert adr(project, "index")[0] == 0
    assert "| Use Queues |" in (project.root / "DECISIONS.md").read_text()
    project.write("adrkit.toml", "[index]\ncolumns = 3\n")
    assert adr(project, "index")[0] == 2


def test_export_prints_records_and_schema(project: GitProject) -> None:
    project.record(1, "use-queues")
    code, out, _ = adr(project, "export", "--json")
    assert code == 0
    value = json.loads(out)
    assert [record["title"] for record in value["records"]] == ["Use Queues"]
    assert "source" not in value["records"][0]
    schema = json.loads(adr(project, "export", "--schema")[1])
    assert value["schema"] == schema["$id"]
    assert adr(project, "export", "--source", "-o", "all.json")[0] == 0
    assert (
        "# ADR-0001" in json.loads((project.root / "all.json").read_text())["records"][0]["source"]
    )


def test_site_is_written_where_the_option_says(project: GitProject) -> None:
    project.record(1, "use-queues")
    code, out, _ = adr(project, "site", "-o", "public", "--title", "Ours")
    assert (code, out) == (0, "wrote public/index.html: 1 records\n")
    assert "<h1>Ours</h1>" in (project.root / "public/index.html").read_text()
    assert adr(project, "site", "-o", "docs")[0] == 2


def test_plain_lint_writes_nothing_and_update_baseline_does(project: GitProject) -> None:
    path = project.record(1, "use-queues")
    good = path.read_text()
    path.write_text(good.replace("**Date:** 2026-01-31", "**Date:** soon"))
    baseline = project.root / ".adr-lint-baseline.json"
    runner = CliRunner()

    def lint(*options: str) -> tuple[int, str]:
        result = runner.invoke(app, ["-C", str(project.root), "lint", *options])
        return result.exit_code, result.stderr

    assert lint()[0] == 1
    assert not baseline.exists()
    assert lint("--write-baseline")[0] == 0
    before = baseline.read_bytes()
    path.write_text(good)
    code, err = lint()
    assert code == 0
    assert "take them out of the baseline with --update-baseline" in err
    assert baseline.read_bytes() == before
    assert lint("--update-baseline", "--select", "ADR1")[0] == 2
    assert lint("--update-baseline", "--no-baseline")[0] == 2
    assert baseline.read_bytes() == before
    code, err = lint("--update-baseline")
    assert (code, "shrank" in err) == (0, True)
    assert len(baseline.read_bytes()) < len(before)
    path.write_text(good.replace("**Date:** 2026-01-31", "**Date:** soon"))
    assert lint()[0] == 1  # it is new again
    after = baseline.read_bytes()
    assert lint("--update-baseline")[0] == 1
    assert baseline.read_bytes() == after


def test_warnings_fail_under_strict_alone(project: GitProject) -> None:
    def lint(*options: str) -> tuple[int, str]:
        code, out, _ = adr(project, "lint", "--select", "ADR1", *options)
        return code, out

    project.record(1, "use-queues")
    project.commit()
    assert lint("--strict")[0] == 0
    project.record(3, "use-topics")  # 0002 was never given: a warning
    for options, expected in (((), 0), (("--strict",), 1)):
        code, out = lint(*options)
        assert (code, "0 errors, 1 warnings" in out) == (expected, True), out
    # What is known does not fail, strict or not.
    assert adr(project, "lint", "--write-baseline")[0] == 0
    assert lint("--strict")[0] == 0
    assert lint("--strict", "--no-baseline")[0] == 1


def test_shallow_clone_takes_no_number_for_never_given(project: GitProject, tmp_path: Path) -> None:
    project.record(1, "use-queues")
    project.record(2, "use-topics").unlink()
    project.record(3, "use-streams")
    project.commit()
    clone = tmp_path / "clone"
    project("clone", "-q", f"file://{project.root}", str(clone))
    assert "ADR108" in adr(GitProject(clone), "lint")[1]
    project.commit()
    shallow = tmp_path / "shallow"
    project("clone", "-q", "--depth", "1", f"file://{project.root}", str(shallow))
    assert "ADR108" not in adr(GitProject(shallow), "lint")[1]
