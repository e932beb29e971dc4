from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.drafts import draft_mentions, draft_name, new_draft_name
from adrkit.model import Status
from adrkit.record import Record
from adrkit.repository import RecordRepository
from adrkit.testing import GitProject

KEY = "bcdfghjk"


def adr(project: GitProject, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["-C", str(project.root), *arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.exit_code, result.stdout, result.stderr


def new_draft(project: GitProject, title: str, *options: str) -> str:
    """The stem of the draft's file."""
    code, out, err = adr(project, "new", title, "--draft", "--json", *options)
    assert code == 0, err
    found = json.loads(out)
    assert found["number"] is None
    assert found["label"] == f"ADR-{Path(found['path']).stem}"
    return Path(found["path"]).stem


@given(st.text(alphabet="abcz-0189é", min_size=1, max_size=40))
def test_every_draft_name_is_read_back(slug: str) -> None:
    name = new_draft_name(slug)
    assert draft_name(Path(f"{name.stem}.md")) == name
    text = f"see {name.label}, [x](a/{name.stem}.md#why) and {name.label}-style queues"
    found = list(draft_mentions(text, [name.key]))
    assert [(m.adr, m.suffix) for m in found] == [("ADR-", ""), ("", ".md"), ("ADR-", "")]


def test_keys_have_no_vowels_and_differ() -> None:
    keys = {new_draft_name("x").key for _ in range(2_000)}
    assert len(keys) == 2_000
    assert not set("".join(keys)) & set("aeiou01l")  # l is a consonant that looks like 1


def test_draft_is_a_record_without_a_number(project: GitProject) -> None:
    project.record(1, "use-queues")
    stem = new_draft(project, "Use Valkey for Queues", "--status", "Accepted")
    assert re.fullmatch(rf"draft-use-valkey-for-queues-{'.' * 8}", stem)
    record = RecordRepository(project.records).resolve(f"ADR-{stem}")
    assert (record.number, record.name, record.label) == (
        None, "Use Valkey for Queues", f"ADR-{stem}",
    )  # fmt: skip
    assert record.status_kind is Status.ACCEPTED
    assert adr(project, "list")[1].splitlines()[1].startswith("-\t")
    _, out, _ = adr(project, "lint", "--format", "json")
    codes = {f["code"] for f in json.loads(out)["findings"] if f["path"].endswith(f"{stem}.md")}
    assert not codes & {"ADR101", "ADR102", "ADR104", "ADR106", "ADR107", "ADR108"}, codes
    assert adr(project, "number", "--check")[0] == 1


def test_every_mention_follows(project: GitProject) -> None:
    project.record(1, "use-queues")
    stem = new_draft(project, "Use Valkey", "--status", "Accepted")
    key = stem[-8:]
    project.write(
        "src/app.py", f"# ADR-{stem}, adr-{stem}; ADR-{stem}-style.\nX = 'docs/adr/{stem}.md'\n"
    )
    project.write(
        "README.md",
        f"[ADR-{stem}](docs/adr/{stem}.md#why), `docs/adr/{stem}.md`, "
        f"retitled ADR-draft-new-{key}\n"
        f"https://x.example/blob/0123abcd/docs/adr/{stem}.md stays; img/{stem}/a.png stays\n"
        f"[enc](docs/adr/draft-%C3%BCber-{key}.md) ADR-draft-other-bcdfghjk stays\r\n",
    )
    project.write("docs/adr/0002-b.md", f"# ADR-0002: B\n\nSee [ADR-{stem}]({stem}.md).\n")
    project.commit()
    code, out, err = adr(project, "number", "--json")
    assert code == 0, err
    (item,) = json.loads(out)["assigned"]
    assert (item["number"], item["new_path"]) == (3, "docs/adr/0003-use-valkey.md")
    assert (project.root / "src/app.py").read_text() == (
        "# ADR-0003, adr-0003; ADR-0003-style.\nX = 'docs/adr/0003-use-valkey.md'\n"
    )
    assert (project.root / "README.md").read_bytes().decode() == (
        "[ADR-0003](docs/adr/0003-use-valkey.md#why), `docs/adr/0003-use-valkey.md`, "
        "retitled ADR-0003\n"
        f"https://x.example/blob/0123abcd/docs/adr/{stem}.md stays; img/{stem}/a.png stays\n"
        "[enc](docs/adr/0003-use-valkey.md) ADR-draft-other-bcdfghjk stays\r\n"
    )
    assert "See [ADR-0003](0003-use-valkey.md)." in (project.records / "0002-b.md").read_text()
    record = Record.read(project.records / "0003-use-valkey.md")
    assert record.title is not None
    assert record.title.raw == "ADR-0003: Use Valkey"
    assert not (project.records / f"{stem}.md").exists()


def test_mention_that_comes_late_is_an_error_until_it_follows(project: GitProject) -> None:
    stem = new_draft(project, "Use Valkey", "--status", "Accepted")
    project.commit()
    project("checkout", "-q", "-b", "late")
    project.write("src/late.py", f"# ADR-{stem}\n")
    project.commit()
    project("checkout", "-q", "main")
    assert adr(project, "number", "--commit")[0] == 0
    project("merge", "-q", "--no-edit", "late")
    code, out, _ = adr(project, "check")
    assert code == 1
    assert f"ADR-{stem} is ADR-0001 now: run `adr number`" in out
    assert adr(project, "number", "--check")[0] == 1
    assert adr(project, "number", "--commit")[0] == 0
    assert (project.root / "src/late.py").read_text() == "# ADR-0001\n"
    assert "Follow numbered drafts" in project("log", "-1", "--format=%s")
    assert adr(project, "check")[0] == 0


def test_citation_of_a_draft_that_never_was_is_an_error(project: GitProject) -> None:
    project.record(1, "a")
    project.write("src/app.py", f"# ADR-draft-nothing-{KEY}\n")
    project.commit()
    code, out, _ = adr(project, "check")
    assert code == 1
    assert "no such draft" in out


def test_superseded_record_is_told_when_the_draft_has_its_number(project: GitProject) -> None:
    project.record(1, "use-queues")
    old = (project.records / "0001-use-queues.md").read_bytes()
    new_draft(project, "Use Valkey", "--status", "Accepted", "--supersedes", "1")
    assert (project.records / "0001-use-queues.md").read_bytes() == old
    project.commit()
    code, out, err = adr(project, "number", "--commit")
    assert (code, "superseded docs/adr/0001-use-queues.md" in out) == (0, True), err
    record = RecordRepository(project.records).get(1)
    assert (record.status_kind, record.superseded_by) == (Status.SUPERSEDED, (2,))
    assert RecordRepository(project.records).get(2).supersedes == (1,)
    assert adr(project, "audit", "--history")[0] == 0


def test_second_draft_that_supersedes_the_same_record_is_reported(project: GitProject) -> None:
    project.record(1, "use-queues")
    first = new_draft(project, "Use A", "--status", "Accepted", "--supersedes", "1")
    new_draft(project, "Use B", "--status", "Accepted", "--supersedes", "1")
    assert adr(project, "number", f"ADR-{first}")[0] == 0
    code, _, err = adr(project, "number")
    assert code == 1
    assert "ADR-0003 supersedes a record that was left as it is: ADR-0001 is Superseded" in err
    assert RecordRepository(project.records).get(1).superseded_by == (2,)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_in_either_normal_form_follow(project: GitProject, form: str) -> None:
    stem = unicodedata.normalize(form, f"draft-größe-café-{KEY}")
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", stem)
    project.write(f"docs/adr/{stem}.md", f"# ADR-{other}: Size\n\n**Status:** Accepted\n")
    project.write("src/a.py", f"# ADR-{other} {other}.md\n")
    project.commit()
    assert adr(project, "number")[0] == 0
    slug = unicodedata.normalize(form, "größe-café")
    assert (project.records / f"0001-{slug}.md").exists()
    assert (project.root / "src/a.py").read_text() == f"# ADR-0001 0001-{slug}.md\n"


def test_bytes_that_are_no_text_are_named_and_left(project: GitProject) -> None:
    stem = new_draft(project, "Use Valkey")
    data = f"ADR-{stem}".encode() + b"\xff\xfe"
    (project.root / "data.bin").write_bytes(data)
    project.commit()
    code, _, err = adr(project, "number")
    assert code == 0
    assert "data.bin mentions a draft" in err
    assert (project.root / "data.bin").read_bytes() == data


def test_dry_run_and_check_change_nothing(project: GitProject) -> None:
    new_draft(project, "Use Valkey")
    project.commit()
    assert "would become ADR-0001" in adr(project, "number", "-n")[1]
    assert adr(project, "number", "--check")[0] == 1
    assert project("status", "--porcelain") == ""


def test_commit_leaves_other_changes_alone(project: GitProject) -> None:
    stem = new_draft(project, "Use Valkey")
    project.write("a.txt", "1")
    project.write("b.txt", "1")
    project.commit()
    project.write("a.txt", "staged")
    project("add", "a.txt")
    project.write("b.txt", "not staged")
    assert adr(project, "number", "--commit")[0] == 0
    assert project("show", "--format=%s", "--name-status", "--no-renames").splitlines() == [
        "Number ADR-0001", "", "A\tdocs/adr/0001-use-valkey.md", f"D\tdocs/adr/{stem}.md",
    ]  # fmt: skip
    assert project("status", "--porcelain").splitlines() == ["M  a.txt", " M b.txt"]


def test_only_the_default_branch_numbers_where_that_is_asked(project: GitProject) -> None:
    project.record(1, "a")
    project.commit()
    project("checkout", "-q", "-b", "side")
    new_draft(project, "Use Valkey")
    assert adr(project, "number", "--on-default-branch") == (0, "", "")
    assert len(RecordRepository(project.records).drafts) == 1
    project("checkout", "-q", "main")
    assert adr(project, "number", "--on-default-branch")[0] == 0
    assert RecordRepository(project.records).drafts == ()


def test_wrong_use_is_refused(project: GitProject) -> None:
    project.record(1, "a")
    assert adr(project, "new", "B", "--draft", "--number", "4")[0] == 2
    assert adr(project, "number", "1")[0] == 2


@pytest.mark.parametrize(
    ("format", "before", "after"),
    [
        ("house", "# ADR-{stem}: Use Valkey", "# ADR-0001: Use Valkey"),
        ("nygard", "# {stem}. Use Valkey", "# 1. Use Valkey"),
        ("madr", "# Use Valkey", "# Use Valkey"),
    ],
)
def test_drafts_of_every_format_get_the_title_of_their_format(
    project: GitProject, format: str, before: str, after: str
) -> None:
    stem = new_draft(project, "Use Valkey", "--format", format)
    path = project.records / f"{stem}.md"
    assert before.format(stem=stem) in path.read_text().splitlines()
    project.commit()
    assert adr(project, "number")[0] == 0
    numbered = project.records / "0001-use-valkey.md"
    assert after in numbered.read_text().splitlines()
    record = Record.read(numbered)
    assert (record.dialect.name, record.status_kind) == (format, Status.PROPOSED)
