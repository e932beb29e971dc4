"""Several records directories in one project: one view, numbers of their own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adrkit.areas import area_of, in_view, owner
from adrkit.cli.commands import app
from adrkit.config import load_config
from adrkit.errors import ConfigError
from adrkit.testing import GitProject, house

ORDERS, MAIL, WHOLE = "services/orders/docs/adr", "services/mail/docs/adr", "docs/adr"


def adr(where: Path, *arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["-C", str(where), *arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def monorepo(project: GitProject) -> GitProject:
    """Three directories; each has an ADR-0001, two have a second record."""
    project.write("adrkit.toml", 'directories = ["docs/adr", "services/*/docs/adr"]\n')
    for place in (WHOLE, ORDERS, MAIL):
        project.write(f"{place}/0001-use-queues.md", house(1))
    project.write(f"{ORDERS}/0002-use-logs.md", house(2, "Use Logs"))
    project.write(f"{WHOLE}/0007-use-one-log.md", house(7, "Use One Log"))
    project.write("src/app.py", "# ADR-0007\n")
    project.write("services/orders/src/orders.py", "# ADR-0002\n")
    project.write("services/mail/src/mail.py", "# ADR-0001\n")
    project.commit()
    return project


def test_areas() -> None:
    root = Path("/p")
    directories = [root / WHOLE, root / ORDERS, root / MAIL, root / "docs/rfc"]
    assert area_of(root / WHOLE) == root
    assert area_of(root / ORDERS) == root / "services/orders"
    assert area_of(root / "docs/architecture/adr") == root
    assert area_of(root / "docs/rfc") == root / "docs"
    assert owner(directories, root / "services/orders/src/x.py") == root / ORDERS
    assert owner(directories, root / "services/new/x.py") == root / WHOLE
    assert owner(directories, root / "docs/rfc/0001-x.md") == root / "docs/rfc"
    assert owner(directories[1:3], root / "x.py") is None
    assert in_view(directories, root) == tuple(directories)
    assert in_view(directories, root / "services") == (root / ORDERS, root / MAIL)
    assert in_view(directories, root / "services/orders/src") == (root / ORDERS,)
    assert in_view(directories, root / "src") == (root / WHOLE,)


def test_reading_looks_at_all_below_where_one_stands(monorepo: GitProject) -> None:
    code, out, _ = adr(monorepo.root, "list")
    assert code == 0
    rows = [line.split("\t")[:2] for line in out.splitlines()]
    assert rows == [
        [WHOLE, "0001"], [WHOLE, "0007"], [MAIL, "0001"], [ORDERS, "0001"], [ORDERS, "0002"],
    ]  # fmt: skip
    code, out, _ = adr(monorepo.root / "services/orders", "list")
    assert [line.split("\t")[0] for line in out.splitlines()] == ["0001", "0002"]
    code, out, _ = adr(monorepo.root / "services/orders/src", "list", "--json")
    assert [record["path"] for record in json.loads(out)] == [
        str(monorepo.root / ORDERS / name) for name in ("0001-use-queues.md", "0002-use-logs.md")
    ]
    code, out, _ = adr(monorepo.root, "search", "logs")
    assert (code, {line.split(":")[0] for line in out.splitlines()}) == (
        0, {f"{ORDERS}/0002-use-logs.md"},
    )  # fmt: skip


def test_number_that_several_have_is_asked_back(monorepo: GitProject) -> None:
    code, _, err = adr(monorepo.root, "show", "1")
    assert code == 2
    assert f"{WHOLE}/0001-use-queues.md, {MAIL}/0001" in err
    assert adr(monorepo.root, "show", "2")[1].startswith("# ADR-0002: Use Logs")
    assert adr(monorepo.root, "show", f"{MAIL}/0001-use-queues.md")[0] == 0
    assert adr(monorepo.root / "services/mail", "show", "1")[0] == 0
    assert adr(monorepo.root, "show", "9")[0] == 2


def test_citation_means_the_record_of_its_own_area(monorepo: GitProject) -> None:
    code, out, _ = adr(monorepo.root, "check")
    assert (code, "3 citations in" in out, "wrong" in out) == (0, True, False)
    monorepo.write("services/mail/src/mail.py", "# ADR-0002\n")  # of orders, not of mail
    code, out, _ = adr(monorepo.root, "check")
    assert code == 1
    assert "services/mail/src/mail.py:1: ADR-0002 citation: missing" in out
    assert "1 wrong" in out
    assert adr(monorepo.root / "services/orders", "check")[0] == 0
    code, out, _ = adr(monorepo.root, "check", "2")
    assert (code, "in 1 records" in out) == (0, True)


def test_why_asks_all_directories_and_a_citation_counts_for_one(monorepo: GitProject) -> None:
    monorepo.write(f"{WHOLE}/0007-use-one-log.md", house(7) + "- `services/mail/src/mail.py`\n")
    code, out, _ = adr(monorepo.root / "services/mail", "why", "src/mail.py", "--json")
    found = [
        (record["path"], [link["kind"] for link in record["links"]]) for record in json.loads(out)
    ]
    assert (code, found) == (
        0,
        [
            (str(monorepo.root / WHOLE / "0007-use-one-log.md"), ["cites"]),
            ("docs/adr/0001-use-queues.md", ["cited"]),
        ],
    )


def test_lint_reports_on_all_and_keeps_one_baseline_whole(monorepo: GitProject) -> None:
    for place in (ORDERS, MAIL):
        monorepo.write(f"{place}/0003-x.md", house(3).replace("❌ Rejected", "❌ Perhaps"))
    code, out, _ = adr(monorepo.root, "lint")
    assert (code, f"{ORDERS}/0003-x.md" in out, f"{MAIL}/0003-x.md" in out) == (1, True, True)
    assert "7 records:" in out
    code, out, _ = adr(monorepo.root, "lint", f"{MAIL}/0003-x.md")
    assert (code, ORDERS in out, MAIL in out) == (1, False, True)
    assert adr(monorepo.root / "services/mail", "lint", "--write-baseline")[0] == 2
    assert adr(monorepo.root, "lint", "--write-baseline")[0] == 0
    code, _, err = adr(monorepo.root / "services/mail", "lint")
    assert (code, "gone" in err) == (0, False)
    assert adr(monorepo.root, "lint")[0] == 0


def test_each_directory_gets_a_table_of_its_own(monorepo: GitProject) -> None:
    assert adr(monorepo.root, "index", "--check")[0] == 1
    assert adr(monorepo.root, "index")[0] == 0
    assert "0002" in (monorepo.root / ORDERS / "README.md").read_text()
    assert "0002" not in (monorepo.root / MAIL / "README.md").read_text()
    assert adr(monorepo.root, "index", "--check")[0] == 0
    assert adr(monorepo.root, "index", "one.md")[0] == 2
    monorepo.write("adrkit.toml", 'directories = ["docs/adr", "services/*/docs/adr"]\n'
                   '[index]\nfile = "one.md"\n')  # fmt: skip
    code, _, err = adr(monorepo.root, "index")
    assert (code, "one file for several" in err) == (2, True)


def test_numbers_are_per_directory(monorepo: GitProject) -> None:
    code, out, _ = adr(monorepo.root, "ledger", "--json")
    found = json.loads(out)["directories"]
    assert (code, {name: each["next"] for name, each in found.items()}) == (
        0, {WHOLE: 8, MAIL: 2, ORDERS: 3},
    )  # fmt: skip
    code, out, _ = adr(monorepo.root, "ledger")
    assert f"{MAIL}:\n0001" in out
    assert adr(monorepo.root / "services/mail", "new", "Use Mail", "--no-edit")[0] == 0
    assert (monorepo.root / MAIL / "0002-use-mail.md").is_file()
    assert adr(monorepo.root, "new", "Use All", "--no-edit")[0] == 0
    assert (monorepo.root / WHOLE / "0008-use-all.md").is_file()


@pytest.mark.parametrize("history", [[], ["--history"]])
def test_audit_of_one_directory_misses_no_record_of_another(
    monorepo: GitProject, history: list[str]
) -> None:
    # The same file names everywhere, and one that left a directory while another got it.
    monorepo.write(f"{ORDERS}/0003-use-mail.md", house(3, "Use Mail"))
    monorepo.commit()
    (monorepo.root / ORDERS / "0003-use-mail.md").rename(monorepo.root / MAIL / "0003-use-mail.md")
    monorepo.commit()
    for place in (WHOLE, MAIL):
        code, out, _ = adr(monorepo.root, "--dir", place, "audit", "--base", "HEAD", *history)
        assert (code, "0 findings" in out) == (0, True), out
    monorepo.write(f"{MAIL}/0001-use-queues.md", house(1).replace("Redis", "Rabbit") + "More.\n")
    code, out, _ = adr(monorepo.root / "services/mail", "audit", "--base", "HEAD")
    assert (code, "content-changed" in out) == (1, True)
    code, out, err = adr(monorepo.root, "audit", "--base", "HEAD")
    assert (code, "6 decided records against" in out, "1 findings" in out) == (1, True, True)
    assert f"{MAIL}/0001-use-queues.md:" in out
    assert "this is about" not in err
    assert adr(monorepo.root / "services/orders", "audit", "--base", "HEAD")[0] == 0


@pytest.mark.parametrize("history", [[], ["--history"]])
def test_audit_misses_the_records_of_a_directory_that_is_gone(
    monorepo: GitProject, history: list[str]
) -> None:
    """With it the pattern in the settings names one directory less, and nothing else is amiss."""
    start = monorepo("rev-parse", "HEAD").strip()
    shutil.rmtree(monorepo.root / "services/mail")
    code, out, _ = adr(monorepo.root, "audit", "--base", start, *history)
    assert (code, f"{MAIL}/0001-use-queues.md" in out, "record-deleted" in out) == (1, True, True)
    monorepo.commit("gone")
    assert adr(monorepo.root, "audit", "--base", start, *history)[0] == 1
    assert adr(monorepo.root, "audit", "--history")[0] == 1
    assert adr(monorepo.root / "services/orders", "audit", "--base", start)[0] == 0


def test_audit_follows_a_directory_that_was_moved(monorepo: GitProject) -> None:
    start = monorepo("rev-parse", "HEAD").strip()
    (monorepo.root / "services/mail").rename(monorepo.root / "services/post")
    assert adr(monorepo.root, "audit", "--base", start)[0] == 0
    monorepo.commit("moved")
    for options in (["--base", start], ["--history"]):
        code, out, _ = adr(monorepo.root, "audit", *options)
        assert (code, "0 findings" in out) == (0, True), out


def test_review_asks_all_directories_in_view(monorepo: GitProject) -> None:
    """A number means the record of its own area, whatever another directory has by that number."""
    checked = (
        house(1) + '\n```adr-check\n[[setting]]\nfile = "services/mail/src/mail.py"\n'
        'attribute = "RETRIES"\noperator = "=="\nvalue = 3\n```\n'
    )
    monorepo.write(f"{MAIL}/0001-use-queues.md", checked)
    monorepo.write("services/mail/src/mail.py", "RETRIES = 3\n")
    monorepo.commit()
    monorepo("checkout", "-q", "-b", "work")
    monorepo.write("services/mail/src/mail.py", "RETRIES = 4\n# ADR-0002\n")
    monorepo.write("services/orders/src/orders.py", "# ADR-0002\nX = 1\n")
    for place in ("services/mail", "services/orders"):
        monorepo.write(f"{place}/requirements.txt", f"{place[9:]}-client\n")
    monorepo.write(f"{ORDERS}/0003-use-a-client.md", house(3, "Use a Client"))
    monorepo.commit("a change")

    def reviewed(where: str, *options: str) -> tuple[int, list[tuple[str, str]], dict[str, Any]]:
        code, out, err = adr(monorepo.root / where, *options, "review", "main", "-f", "json")
        assert "this is about" not in err
        found = json.loads(out)
        return code, [(f["rule"], f["path"]) for f in found["findings"]], found

    mail = [
        ("broken-check", "services/mail/src/mail.py"),
        ("stale-citation", "services/mail/src/mail.py"),
        ("undecided-dependency", "services/mail/requirements.txt"),
    ]
    code, findings, found = reviewed("")
    assert (code, findings) == (1, mail)
    assert {g["path"]: [by["path"] for by in g["by"]] for g in found["governed"]} == {
        "services/mail/src/mail.py": [f"{MAIL}/0001-use-queues.md"],
        "services/orders/src/orders.py": [f"{ORDERS}/0002-use-logs.md"],
    }
    assert reviewed("services/mail")[:2] == (1, mail)
    assert reviewed("", "--dir", MAIL)[:2] == (1, mail)
    assert reviewed("services/orders")[:2] == (0, [])
    code, out, _ = adr(monorepo.root, "review", "main")
    assert f"orders.py is governed by ADR-0002 of {ORDERS} (cited)" in out


def test_review_of_a_directory_that_one_names_by_its_whole_path(
    monorepo: GitProject, tmp_path: Path
) -> None:
    """The commits' records count, not those of the work tree."""
    monorepo("checkout", "-q", "-b", "work")
    monorepo.write("services/mail/src/mail.py", "# ADR-0002\n")
    monorepo.commit("a change")
    monorepo.write(f"{MAIL}/0002-use-mail.md", house(2, "Use Mail"))  # in no commit
    whole = str(monorepo.root / MAIL)
    assert "stale-citation" in adr(monorepo.root, "--dir", whole, "review", "main")[1]
    assert adr(monorepo.root, "--dir", str(tmp_path.parent), "review", "main")[0] == 2


def test_drafts_of_all_directories_get_numbers_of_their_own(monorepo: GitProject) -> None:
    drafts = {}
    for place in ("services/orders", "services/mail"):
        assert adr(monorepo.root / place, "new", "Use a Cache", "--draft", "--no-edit")[0] == 0
        (path,) = (monorepo.root / place / "docs/adr").glob("draft-*.md")
        drafts[place] = f"ADR-{path.stem}"
        monorepo.write(f"{place}/src/cache.py", f"# {drafts[place]}\n")
    monorepo.commit("drafts")
    code, out, _ = adr(monorepo.root, "number", "--check", "--json")
    found = {item["draft"]: item["new_path"] for item in json.loads(out)["assigned"]}
    assert (code, found) == (
        1,
        {
            drafts["services/orders"]: f"{ORDERS}/0003-use-a-cache.md",
            drafts["services/mail"]: f"{MAIL}/0002-use-a-cache.md",
        },
    )
    code, out, err = adr(monorepo.root, "number", drafts["services/mail"], "--commit")
    assert (code, "this is about" in err) == (0, False)
    assert (monorepo.root / MAIL / "0002-use-a-cache.md").is_file()
    assert not (monorepo.root / ORDERS / "0003-use-a-cache.md").exists()
    assert adr(monorepo.root, "number", "--commit")[0] == 0
    for place, label in (("services/orders", "ADR-0003"), ("services/mail", "ADR-0002")):
        assert (monorepo.root / place / "src/cache.py").read_text() == f"# {label}\n"
    assert monorepo("status", "--porcelain") == ""
    made = monorepo("log", "--format=%s", "-2").splitlines()
    assert made == ["Number ADR-0003", "Number ADR-0002"]


def test_graph_draws_a_box_for_each_and_keeps_their_numbers_apart(monorepo: GitProject) -> None:
    links = "\nSee [the queues](../../../mail/docs/adr/0001-use-queues.md) and ADR-0001.\n"
    monorepo.write(f"{ORDERS}/0002-use-logs.md", house(2, "Use Logs") + links)
    code, out, _ = adr(monorepo.root, "graph")
    assert code == 0
    boxes = [line.split('"')[1] for line in out.splitlines() if line.startswith("    subgraph")]
    assert boxes == [WHOLE, MAIL, ORDERS]
    assert out.count("    end\n") == 3
    # The link leads to mail's, the number to its own directory's.
    assert [line.strip() for line in out.splitlines() if ".->" in line] == [
        "D3_ADR0002 -.-> D2_ADR0001", "D3_ADR0002 -.-> D3_ADR0001",
    ]  # fmt: skip
    _, out, _ = adr(monorepo.root, "graph", "--format", "dot")
    assert out.count("subgraph cluster_") == 3
    assert out.count("{") == out.count("}")
    _, out, _ = adr(monorepo.root / "services/mail", "graph")
    assert ("subgraph" in out, "    ADR0001[" in out) == (False, True)
    assert "subgraph" not in adr(monorepo.root, "--dir", MAIL, "graph")[1]


def test_export_holds_the_records_of_all(monorepo: GitProject) -> None:
    code, out, _ = adr(monorepo.root, "export")
    found = json.loads(out)
    assert (code, found["directory"]) == (0, WHOLE)
    assert found["directories"] == [WHOLE, MAIL, ORDERS]
    assert len({record["path"] for record in found["records"]}) == len(found["records"]) == 5
    found = json.loads(adr(monorepo.root / "services/mail", "export")[1])
    assert (found["directories"], len(found["records"])) == ([MAIL], 1)


def test_site_has_a_page_for_each_record_of_all(monorepo: GitProject) -> None:
    links = "\nSee [the queues](../../../mail/docs/adr/0001-use-queues.md) and ADR-0001.\n"
    monorepo.write(f"{ORDERS}/0002-use-logs.md", house(2, "Use Logs") + links)
    code, out, _ = adr(monorepo.root, "site", "--output", "out")
    assert (code, out) == (0, "wrote out/index.html: 5 records\n")
    pages = {path.name for path in (monorepo.root / "out").glob("*.html")}
    assert pages == {
        "index.html", "graph.html",
        "docs-adr-0001-use-queues.html", "docs-adr-0007-use-one-log.html",
        "services-mail-docs-adr-0001-use-queues.html",
        "services-orders-docs-adr-0001-use-queues.html",
        "services-orders-docs-adr-0002-use-logs.html",
    }  # fmt: skip
    index = (monorepo.root / "out/index.html").read_text()
    assert f'<span class="place">{MAIL}</span>' in index
    page = (monorepo.root / "out/services-orders-docs-adr-0002-use-logs.html").read_text()
    assert 'href="services-mail-docs-adr-0001-use-queues.html"' in page
    assert 'href="services-orders-docs-adr-0001-use-queues.html"' in page
    assert 'href="docs-adr-0001-use-queues.html"' not in page
    # Of one directory it is as it ever was.
    assert adr(monorepo.root / "services/mail", "site", "--output", "out")[0] == 0
    assert (monorepo.root / "services/mail/out/0001-use-queues.html").exists()


def test_coverage_and_conflicts_know_whose_records_they_are(monorepo: GitProject) -> None:
    names = "- `services/mail/src/mail.py`\n"
    monorepo.write(f"{WHOLE}/0007-use-one-log.md", house(7) + names)
    monorepo.write(f"{ORDERS}/0002-use-logs.md", house(2) + names)
    code, out, _ = adr(monorepo.root, "coverage", "--json", "--only", "**/*.py")
    found = {area["path"]: area for area in json.loads(out)["areas"]}
    assert (code, found["services/mail"]["governed"]) == (0, 1)
    assert found["services/mail"]["records"] == [
        f"{MAIL}/ADR-0001", f"{ORDERS}/ADR-0002", f"{WHOLE}/ADR-0007",
    ]  # fmt: skip
    pair = [f"{WHOLE}/ADR-0007", f"{ORDERS}/ADR-0002"]

    def overlaps() -> bool:
        _, out, _ = adr(monorepo.root, "conflicts", "--json")
        return pair in [item["records"] for item in json.loads(out)]

    assert overlaps()
    # Its own ADR-0007 would be another; only a link mentions this one.
    monorepo.write(f"{ORDERS}/0002-use-logs.md", house(2) + names + "ADR-0007\n")
    assert overlaps()
    link = "[ADR-0007](../../../../docs/adr/0007-use-one-log.md)\n"
    monorepo.write(f"{ORDERS}/0002-use-logs.md", house(2) + names + link)
    assert not overlaps()


def test_renumbering_leaves_the_other_areas_alone(monorepo: GitProject) -> None:
    monorepo.write("services/orders/src/orders.py", "# ADR-0001\n")
    monorepo.commit()
    assert adr(monorepo.root / "services/orders", "renumber", "1", "--to", "5")[0] == 0
    assert (monorepo.root / "services/orders/src/orders.py").read_text() == "# ADR-0005\n"
    assert (monorepo.root / "services/mail/src/mail.py").read_text() == "# ADR-0001\n"


def test_writing_where_one_stands_in_none_says_which_there_are(monorepo: GitProject) -> None:
    monorepo.write("adrkit.toml", 'directories = ["services/*/docs/adr"]\n')
    code, _, err = adr(monorepo.root, "new", "Use All", "--no-edit")
    assert code == 2
    assert f"2 records directories: {MAIL}, {ORDERS}" in err
    assert adr(monorepo.root, "--dir", MAIL, "new", "Use Mail", "--no-edit")[0] == 0
    assert adr(monorepo.root, "list")[0] == 0


def test_empty_one_of_several_is_said(monorepo: GitProject) -> None:
    (monorepo.root / "services/new/docs/adr").mkdir(parents=True)
    code, _, err = adr(monorepo.root, "list")
    assert (code, "services/new/docs/adr holds no records: left out" in err) == (0, True)


@pytest.mark.parametrize(
    "settings",
    [
        'directories = ["../outside"]', 'directories = ["/etc"]', 'directories = ["/etc/*"]',
        'directories = ["none/*"]', 'directories = []', 'directories = ["docs", "docs/adr"]',
        'directory = "docs/adr"\ndirectories = ["docs/adr"]', 'directories = ["../*"]',
    ],
)  # fmt: skip
def test_settings_that_name_no_directories_of_the_project(tmp_path: Path, settings: str) -> None:
    project = GitProject(tmp_path / "project")
    (tmp_path / "outside").mkdir()
    project.record(1, "use-queues")
    project.write("adrkit.toml", settings + "\n")
    with pytest.raises(ConfigError):
        load_config(project.root)
    assert adr(project.root, "list")[0] == 2
