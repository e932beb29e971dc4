"""What is right and must not be reported, and mending that may not change a meaning."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.lint.open_points import is_open
from adrkit.lint.sentences import sentence_count


def _mutations() -> ModuleType:
    path = Path(__file__).with_name("test_mutations.py")
    spec = importlib.util.spec_from_file_location("mutations", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mutations = _mutations()
EXAMPLE, DECISION = mutations.EXAMPLE, mutations.DECISION

#: Each is one sentence.
ONE = [
    "Use the queue that Dr. Brown measured.",
    "Follow Prof. Ada Miller on sagas.",
    "Keep PostgreSQL v. 16 for exports.",
    "Apply the ruling of Brown v. Board to the archive.",
    "Run exports at 5 p.m. UTC every day.",
    "Store data in the E.U. Region only.",
    "Store data in U.S. Data centres only.",
    "Follow J. R. R. Tolkien and D. Knuth in naming.",
    "Call `a. B` before each export.",
    "Split at `. A`, never elsewhere.",
    "Use e.g. Redis, i.e. a broker, cf. ADR-0003, etc.",
    "Use Node.js 20 and .NET 8.",
    "Use version 2.0. of the API",
    "Buy from Acme Inc. California, not Ltd. Firms.",
    "Use asynchronous jobs.[^1]",
    "Use asynchronous jobs [^1].",
    "Use the broker (see [docs](https://x.example/a.B). )",
    "Keep the limit of approx. 100 requests, max. 5 per user.",
    "See Fig. 3 and Sec. 4 No. 5 of the paper.",
    'Adopt "Ask. Then tell" as `rule`',
    "Wait... then retry.",
    "1. Use Redis for the queue.",
    "Use Jan. 31 as the end of the year.",
    "Use https://x.example/a. B is another site",
    "The team of Mrs. Smith and St. John keeps it.",
]
#: What is written, and how many sentences a reader counts.
MORE = [
    ("Use Redis. Keep PostgreSQL.", 2),
    ("Use Redis! Why? Because it is there.", 3),
    ("Use `Redis`. `PostgreSQL` stays.", 2),
    ("Use Redis.[^1] Keep PostgreSQL.", 2),
    ("Use Redis (it is fast). Keep PostgreSQL.", 2),
    ('We say "use Redis." Keep PostgreSQL.', 2),
    ("**Use Redis.** Keep PostgreSQL.", 2),
    ("Use Redis, PostgreSQL, etc. The rest goes.", 2),
    ("The answer is no. Redis is out.", 2),
    ("Wait 60 sec. Then retry.", 2),
    ("Use Redis. 3 replicas are enough.", 2),
    ("使用队列。保留数据库。", 2),
    ("Use Redis.\nKeep PostgreSQL.", 2),
]


@pytest.mark.parametrize("text", ONE)
def test_point_that_ends_no_sentence_is_not_counted(text: str) -> None:
    assert sentence_count(text) == 1


@pytest.mark.parametrize(("text", "count"), MORE)
def test_sentences_are_counted(text: str, count: int) -> None:
    assert sentence_count(text) == count


@pytest.mark.parametrize(
    "text", ["TBD", "*tbd*", "- TODO", "To be decided.", "???", "...", "…", "N/A", "–", "", "[]"]
)
def test_text_that_somebody_has_still_to_write(text: str) -> None:
    assert is_open(text)


@pytest.mark.parametrize(
    "text", ["TBD by operations", "Todo lists sync", "A?", "None of them fits"]
)
def test_text_that_says_something(text: str) -> None:
    assert not is_open(text)


#: What is replaced in the specification's example, and by what: none of it is a fault.
RIGHT = [
    *((DECISION, text) for text in ONE if "[docs]" not in text and "etc." not in text),
    (DECISION, f"{DECISION[:-1]}.[^1]\n\n[^1]: Measured in May. See the appendix."),
    (DECISION, f"{DECISION}\n\nExample: a user asks for an export. It comes by mail."),
    ("## Context\n", '## Context\n\nExample:\n\n```text\nGET /export?user="1"\n```\n'),
    ("## Context\n", "## Context\n\nExample: one user had 3 GB of data.\n"),
    ("High (delayed exports)", "High - delayed exports, low morale"),
    ("High (delayed exports)", "High: exports wait"),
    ("High (delayed exports)", "**High** (delayed)"),
    (mutations.REJECTED, "❌ Not chosen - the one we chose is better"),
    (mutations.REJECTED, "❌ Rejected - accepted wisdom says no"),
    ("Status:** Accepted", "Status:** Accepted (2026-01-31)"),
    ("Status:** Accepted", "Status:** Accepted - the retry part was superseded by ADR-0001"),
]


@pytest.mark.parametrize(("old", "new"), RIGHT)
def test_what_is_right_is_not_reported(tmp_path: Path, old: str, new: str) -> None:
    assert old in EXAMPLE
    found = mutations.findings_of(tmp_path, EXAMPLE.replace(old, new, 1))
    assert [(finding.code, finding.message) for finding in found] == []


def test_example_of_the_specification_is_still_reported(tmp_path: Path) -> None:
    text = EXAMPLE.replace(DECISION, f'{DECISION}\n\nExample: "{DECISION}"', 1)
    assert [f.code for f in mutations.findings_of(tmp_path, text)] == ["ADR306"]


HISTORY = "# 1. Use Logs\n\nDate: 2020-01-31\n\n## Status\n\n{}\n\n## Context\n\nc\n\n## Decision\n\nd\n\n## Consequences\n\ne\n"  # noqa: E501


@pytest.mark.parametrize(
    "history",
    [
        "2020-01-30: Proposed\n\n2020-01-31: Accepted",
        "Accepted\n\nDeclared in May\n\nAmends [ADR-0002](0002-x.md)",
    ],
)
def test_history_in_a_status_section_is_no_repetition(tmp_path: Path, history: str) -> None:
    found = mutations.findings_of(tmp_path, HISTORY.format(history), "0001-use-logs.md")
    assert "ADR211" not in {finding.code for finding in found}


def test_two_statuses_without_days_are_found_on_the_second_line(tmp_path: Path) -> None:
    text = HISTORY.format("Proposed\n\nAccepted")
    (found,) = mutations.findings_of(tmp_path, text, "0001-use-logs.md")
    assert (found.code, found.source) == ("ADR211", "Accepted")


def test_status_of_front_matter_that_contradicts_the_text_is_found(tmp_path: Path) -> None:
    text = "---\nstatus: rejected\n---\n" + EXAMPLE
    found = mutations.findings_of(tmp_path, text)
    assert [(f.code, f.line) for f in found if f.code == "ADR211"] == [("ADR211", 7)]


@pytest.mark.parametrize(
    ("status", "mended"),
    [
        ("Superceded by ADR-1", "Superseded by ADR-0001"),
        ("accepted", "Accepted"),
        ("Draft", "Draft"),
        ("Approved", "Approved"),
        ("Implemented", "Implemented"),
        ("Rejected/Accepted", "Rejected/Accepted"),
        ("Draft · Superseded by ADR-1", "Draft · Superseded by ADR-1"),
        ("accepted, then rejected", "Accepted, then rejected"),
        ("Partly superceded", "Partly superceded"),
    ],
)
def test_fix_changes_spelling_and_no_meaning(tmp_path: Path, status: str, mended: str) -> None:
    text = EXAMPLE.replace("Status:** Accepted", f"Status:** {status}").replace(
        "ADR-0001:", "ADR-0002:"
    )
    mutations.findings_of(tmp_path, EXAMPLE)
    path = tmp_path / "docs/adr/0002-asynchronous-job.md"
    path.write_text(text)
    CliRunner().invoke(app, ["-C", str(tmp_path), "lint", "--fix"])
    found = re.search(r"\*\*Status:\*\* (.*)", path.read_text())
    assert found is not None
    assert found.group(1) == mended


def test_fix_leaves_a_title_in_front_matter_alone(tmp_path: Path) -> None:
    text = "---\ntitle: Use Queues\nstatus: accepted\n---\n\n## Why\n\nw\n"
    mutations.findings_of(tmp_path, text, "0001-use-queues.md")
    CliRunner().invoke(app, ["-C", str(tmp_path), "lint", "--fix"])
    assert "title: Use Queues\n" in (tmp_path / "docs/adr/0001-use-queues.md").read_text()
