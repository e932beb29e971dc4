"""The specification's own example lints clean; each fault put into it is found by its rule."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adrkit.config import load_config
from adrkit.lint import RULES, Finding, lint, load_settings
from adrkit.repository import RecordRepository

EXAMPLE = (Path(__file__).parent / "specification_example.md").read_text(encoding="utf-8")
NAME = "0001-asynchronous-job-pattern-for-user-data-export.md"
CITED = (
    "app/tasks/export_tasks.py", "app/services/storage.py", "app/services/export_service.py",
    "app/repositories/base.py", "docs/design/user-export.md",
)  # fmt: skip
REJECTED = "❌ Rejected - exceeds API timeout limits"
CHOSEN = "✅ **Chosen** - meets scale and reliability requirements"
FUTURE = "⏸️ Future consideration - good for real-time use cases"
DECISION = "Use asynchronous job pattern (Celery + Redis) for user data export."

#: code, what is replaced, by what, and a text of the line where it must be found.
MUTATIONS = [
    ("ADR103", "## Appendix", "# Another Record\n\n## Appendix", "# Another Record"),
    ("ADR104", "# ADR-0001:", "# ADR-1:", "# ADR-1:"),
    ("ADR105", "User Data Export\n", "user data export\n", "# ADR-0001"),
    ("ADR106", "# ADR-0001:", "# ADR-0002:", "# ADR-0002"),
    ("ADR109", "User Data Export\n", f"User Data Export {'Very ' * 12}Soon\n", "# ADR-0001"),
    ("ADR201", "**Date:** 2026-01-31\n", "", "# ADR-0001"),
    ("ADR202", "2026-01-31", "31.01.2026", "31.01.2026"),
    ("ADR203", "2026-01-31", "2999-01-31", "2999-01-31"),
    ("ADR205", "Status:** Accepted", "Status:** Agreed", "Agreed"),
    ("ADR206", "Status:** Accepted", "Status:** accepted", "**Status:**"),
    ("ADR207", "Status:** Accepted", "Status:** Superseded", "**Status:**"),
    ("ADR208", "**Context:** [SHRED-2119](https://tickets.example/SHRED-2119)\n", "", "# ADR-0001"),
    ("ADR209", "**Date:** 2026-01-31\n**Status:** Accepted",
     "**Status:** Accepted\n**Date:** 2026-01-31", "**Status:**"),
    ("ADR210", "Status:** Accepted", "Status:** Rejected", "**Status:**"),
    ("ADR301", "## Decision Rationale", "### Reasons", "# ADR-0001"),
    ("ADR302", "## Appendix", "## Confirmation\n\n## Appendix", "## Confirmation"),
    ("ADR303", "## Appendix", "## Context\n\nAgain.\n\n## Appendix", "## Context"),
    ("ADR305", "[SHRED-2119](https://tickets.example/SHRED-2119)",
     "[Link to ticket, epic, or TDD]", "**Context:**"),
    ("ADR306", "### Benchmark Results", "### Example Benchmark Results", "### Example"),
    ("ADR307", DECISION, f"{DECISION} We also use S3.", "Use asynchronous"),
    ("ADR308", DECISION, f"Use {'very ' * 60}asynchronous jobs.", "Use very"),
    ("ADR309", "## Related", "#### Related", "#### Related"),
    ("ADR402", "| Cons | Verdict |", "| Against | Verdict |", "| Against |"),
    ("ADR403", "Simple, immediate response", "Simple `a | b`", "**Sync REST**"),
    ("ADR405", CHOSEN, "❌ Rejected - no reason at all", "## Alternatives Considered"),
    ("ADR406", REJECTED, "✅ **Chosen** - also", "**Async Job**"),
    ("ADR407", REJECTED, "Perhaps", "**Sync REST**"),
    ("ADR408", REJECTED, "Rejected - exceeds limits", "**Sync REST**"),
    ("ADR409", REJECTED, "❌ Rejected", "**Sync REST**"),
    ("ADR409", FUTURE, "⏸️ Future consideration", "**Streaming**"),
    ("ADR410", CHOSEN, "✅ **Chosen**", "**Async Job**"),
    ("ADR411", "Memory efficient, real-time data", "None", "**Streaming**"),
    ("ADR412", "**Streaming**", "**Sync REST**", "⏸️"),
    ("ADR504", "| Risk | Impact | Likelihood | Mitigation |\n|------|--------|------------|",
     "| Risk | Impact | Likelihood | Mitigation |\n\n|------|--------|------------|",
     "### Risks"),
    ("ADR505", "Retry 3x, fallback", "Retry `3 | 4`, fallback", "S3 upload failure"),
    ("ADR506", "High (delayed exports)", "Terrible", "Terrible"),
    ("ADR507", "TTL on job records (7 days), cleanup cron job, monitoring for stuck jobs", "-",
     "Job state inconsistency"),
    ("ADR508", "| Likelihood | Mitigation |", "| Chance | Mitigation |", "| Chance |"),
    ("ADR601", "## Appendix", "## Appendix\n\nSee [notes](notes.md).", "See [notes]"),
    ("ADR602", "`app/repositories/base.py`", "`app/repositories/basis.py`", "basis.py"),
    ("ADR603", "## Appendix", "## Appendix\n\nCompare ADR-0099.", "Compare"),
    ("ADR604", "## Appendix", "## Appendix\n\nSee [up](#nowhere).", "See [up]"),
    ("ADR606", "## Appendix", "## Appendix\n\nSee [it]().", "See [it]"),
    ("ADR607", "## Appendix", "## Appendix\n\nSee [it](../../../other.md).", "See [it]"),
    ("ADR702", "## Appendix", "- **Amends:** ADR-0098\n\n## Appendix", "**Amends:**"),
    ("ADR801", "## Implementation Notes", f"{'word ' * 1300}\n\n## Implementation Notes",
     "# ADR-0001"),
    ("ADR802", "- Use existing Celery setup", f"- {'step ' * 300}\n- Use existing Celery setup",
     "## Implementation Notes"),
    ("ADR803", "## Implementation Notes",
     "```python\n" + "x = 1\n" * 21 + "```\n\n## Implementation Notes", "```python"),
    ("ADR901", "## Appendix", "<!-- adr-lint: disable=ADR801 until=2999-01-01 -->\n\n## Appendix",
     "<!-- adr-lint"),
    ("ADR902", "## Appendix",
     '<!-- adr-lint: disable=ADR801 reason="x" until=2020-01-01 -->\n\n## Appendix',
     "<!-- adr-lint"),
    ("ADR903", "## Appendix",
     '<!-- adr-lint: disable=ADR899 reason="x" until=2999-01-01 -->\n\n## Appendix',
     "<!-- adr-lint"),
    ("ADR904", "## Appendix",
     '<!-- adr-lint: disable=ADR801 reason="x" until=2999-01-01 -->\n\n## Appendix',
     "<!-- adr-lint"),
    ("ADR905", "## Appendix", '<!-- adr-lint: disable=ADR801 reason="x" -->\n\n## Appendix',
     "<!-- adr-lint"),
]  # fmt: skip


def section(name: str) -> str:
    """A section of the example with its heading, up to the next heading of its level or above."""
    level = "#" * (len(name) - len(name.lstrip("#")))
    found = re.search(rf"^{re.escape(name)}\n.*?(?=^#{{1,{len(level)}}} |\Z)", EXAMPLE, re.M | re.S)
    assert found is not None
    return found.group()


def rows(*names: str) -> str:
    """Rows of the tables that name one of ``names`` in bold, or begin with it."""
    lines = EXAMPLE.splitlines(keepends=True)
    return "".join(
        line for line in lines if any(line.startswith((f"| **{n}**", f"| {n}")) for n in names)
    )


ALTERNATIVES = "| Approach | Pros | Cons | Verdict |\n|----------|------|------|---------|\n"
POSITIVE, NEGATIVE = section("### Positive"), section("### Negative")
CONTEXT, TABLE = section("## Context"), section("## Alternatives Considered")
MUTATIONS += [
    ("ADR102", "# ADR-0001: Asynchronous Job Pattern for User Data Export\n\n", "", "**Date:**"),
    ("ADR204", "**Status:** Accepted\n", "", "# ADR-0001"),
    ("ADR304", CONTEXT + TABLE, TABLE + CONTEXT, "## Context"),
    ("ADR310", section("### Architecture Diagram"),
     "### Architecture Diagram\n\n```text\nAPI -> queue -> worker\n", "```text"),
    ("ADR401", TABLE, "## Alternatives Considered\n\nThere were three.\n\n", "## Alternatives"),
    ("ADR404", rows("Sync REST", "Async Job", "Streaming"), rows("Async Job"),
     "## Alternatives"),
    ("ADR501", NEGATIVE, "### Negative\n\n```text\nas in the meeting\n```\n\n", "### Negative"),
    ("ADR502", POSITIVE, "### Positive\n\n```text\nas in the meeting\n```\n\n", "### Positive"),
    ("ADR503", NEGATIVE, "### Negative\n\n- None\n\n", "- None"),
    ("ADR605", "## Appendix", f"## Appendix\n\nSee [ADR-0007]({NAME}).", "See [ADR-0007]"),
    ("ADR205", "Status:** Accepted", "Status:** Rejected/Accepted", "**Status:**"),
    ("ADR205", "Status:** Accepted", "Status:** Accepted · Rejected", "**Status:**"),
    ("ADR205", "Status:** Accepted", "Status:** Proposed | Accepted | Rejected", "**Status:**"),
    ("ADR206", "Status:** Accepted", "Status:** Approved", "**Status:**"),
    ("ADR208", "[SHRED-2119](https://tickets.example/SHRED-2119)", "TBD", "**Context:**"),
    ("ADR211", "**Status:** Accepted\n", "**Status:** Accepted\n" * 2,
     "**Status:**"),
    ("ADR211", "**Status:** Accepted\n", "**Status:** Accepted\n**Status:** Rejected\n",
     "Rejected"),
    ("ADR211", "## Decision\n", "## Status\n\nDeprecated\n\n## Decision\n", "Deprecated"),
    ("ADR211", "**Date:** 2026-01-31\n", "**Date:** 2026-01-31\n**Date:** 2026-02-01\n",
     "02-01"),
    ("ADR213", "# ADR-0001: Asy", "---\nowner: @ann\n---\n# ADR-0001: Asy", "---"),
    ("ADR307", DECISION, f"{DECISION} `S3` is used as well.", "Use asynchronous"),
    ("ADR307", DECISION, f"{DECISION} (We also use S3.)", "Use asynchronous"),
    ("ADR311", DECISION, "TBD", "TBD"),
    ("ADR311", DECISION, "_To be decided._", "_To be"),
    ("ADR311", CONTEXT, "## Context\n\n- TODO\n\n", "- TODO"),
    ("ADR312", DECISION, "```python\nqueue = Celery()\n```", "## Decision"),
    ("ADR312", DECISION, "![flow](https://img.example/flow.png)", "## Decision"),
    ("ADR409", REJECTED, "❌ Rejected - TBD", "**Sync REST**"),
    ("ADR410", CHOSEN, "✅ **Chosen** - ...", "**Async Job**"),
    ("ADR411", "Memory efficient, real-time data", "TBD", "**Streaming**"),
    ("ADR411", "Memory efficient, real-time data", "to be determined", "**Streaming**"),
    ("ADR413", REJECTED, "❌ Chosen - exceeds limits", "**Sync REST**"),
    ("ADR413", REJECTED, "❌ **Chosen** - exceeds limits", "**Sync REST**"),
    ("ADR413", REJECTED, "❌ ✅ Rejected - exceeds limits", "**Sync REST**"),
    ("ADR506", "High (delayed exports)", "Medium-High", "Medium-High"),
    ("ADR506", "High (delayed exports)", "Low to Medium", "Low to"),
    ("ADR506", "High (delayed exports)", "**High** / Medium", "/ Medium"),
    ("ADR506", "High (delayed exports)", "Medium, High", "Medium, High"),
    ("ADR506", "High (delayed exports)", "Highish", "Highish"),
    ("ADR507", "TTL on job records (7 days), cleanup cron job, monitoring for stuck jobs", "TBD",
     "Job state inconsistency"),
]  # fmt: skip


def findings_of(root: Path, text: str, name: str = NAME) -> list[Finding]:
    for path in CITED:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    directory = root / "docs" / "adr"
    directory.mkdir(parents=True)
    (root / "adrkit.toml").write_text('directory = "docs/adr"\n')
    (directory / name).write_text(text, encoding="utf-8")
    config = load_config(root)
    return list(lint(config, RecordRepository.of(config), None, load_settings(config)).findings)


def test_specifications_example_lints_clean(tmp_path: Path) -> None:
    assert findings_of(tmp_path, EXAMPLE) == []


@pytest.mark.parametrize(
    ("code", "old", "new", "at"), MUTATIONS, ids=[f"{m[0]}-{n}" for n, m in enumerate(MUTATIONS)]
)
def test_fault_is_found_by_its_rule_alone_on_its_line(
    tmp_path: Path, code: str, old: str, new: str, at: str
) -> None:
    assert EXAMPLE.count(old) >= 1
    text = EXAMPLE.replace(old, new, 1)
    found = findings_of(tmp_path, text)
    lines = [n for n, line in enumerate(text.splitlines(), 1) if at in line]
    assert {finding.code for finding in found} == {code}, [f.message for f in found]
    assert found[0].line in lines


def test_name_that_is_no_kebab_case_is_found(tmp_path: Path) -> None:
    assert [f.code for f in findings_of(tmp_path, EXAMPLE, "0001-Async_Job.md")] == ["ADR101"]


def test_number_that_was_skipped_is_found(tmp_path: Path) -> None:
    text = EXAMPLE.replace("ADR-0001", "ADR-0002")
    assert [f.code for f in findings_of(tmp_path, text, "0002-job.md")] == ["ADR108"]


# --- what only shows beside other records -----------------------------------------------------

SECOND = "0002-second-thoughts.md"


def second(status: str = "Accepted", related: str = "") -> str:
    text = EXAMPLE.replace("ADR-0001: Asynchronous Job Pattern for User Data Export",
                           "ADR-0002: Second Thoughts")  # fmt: skip
    return text.replace("Status:** Accepted", f"Status:** {status}").replace(
        "## Appendix", f"{related}\n## Appendix"
    )


def first(status: str = "Accepted", related: str = "") -> str:
    return EXAMPLE.replace("Status:** Accepted", f"Status:** {status}").replace(
        "## Appendix", f"{related}\n## Appendix"
    )


UNPADDED = first("Superseded by ADR-2", f"- **Superseded by:** [ADR-0002]({SECOND})\n")
SUPERSEDED_BY = f"- **Superseded by:** [ADR-0002]({SECOND})\n"
SUPERSEDES = f"- **Supersedes:** [ADR-0001]({NAME})\n"
ACROSS = [
    ("well linked", first("Superseded by ADR-0002", SUPERSEDED_BY), second("Accepted", SUPERSEDES),
     set()),
    ("old side alone", first("Superseded by ADR-0002", SUPERSEDED_BY), second(),
     {(NAME, "ADR701")}),
    ("new side alone", first(), second("Accepted", SUPERSEDES), {(SECOND, "ADR701")}),
    ("unpadded number", UNPADDED, second("Accepted", SUPERSEDES), {(NAME, "ADR212")}),
    ("no link", first("Superseded by ADR-0002"), second("Accepted", SUPERSEDES),
     {(NAME, "ADR705")}),
    ("status left", first("Accepted", SUPERSEDED_BY), second("Accepted", SUPERSEDES),
     {(NAME, "ADR704")}),
    ("circle", first("Superseded by ADR-0002", SUPERSEDED_BY + SUPERSEDES.replace(NAME, SECOND)
                     .replace("0001", "0002")),
     second("Superseded by ADR-0001", SUPERSEDES + SUPERSEDED_BY.replace(SECOND, NAME)
            .replace("0002]", "0001]")),
     {(NAME, "ADR703"), (SECOND, "ADR703")}),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), [a[1:] for a in ACROSS],
                         ids=[a[0] for a in ACROSS])  # fmt: skip
def test_fault_between_records_is_found_on_the_side_that_has_it(
    tmp_path: Path, old: str, new: str, expected: set[tuple[str, str]]
) -> None:
    findings_of(tmp_path, old)
    (tmp_path / "docs/adr" / SECOND).write_text(new, encoding="utf-8")
    config = load_config(tmp_path)
    report = lint(config, RecordRepository.of(config), None, load_settings(config))
    assert {(f.path.name, f.code) for f in report.findings} == expected
    for finding in report.findings:
        if finding.code in ("ADR701", "ADR704"):
            assert "ADR-000" in finding.source  # the line that says it


def test_number_that_two_records_have_is_found_on_both(tmp_path: Path) -> None:
    findings_of(tmp_path, EXAMPLE)
    twin = EXAMPLE.replace("Asynchronous Job Pattern for User Data Export", "Another Decision")
    (tmp_path / "docs/adr/0001-another-decision.md").write_text(twin, encoding="utf-8")
    config = load_config(tmp_path)
    report = lint(config, RecordRepository.of(config), None, load_settings(config))
    assert {f.code for f in report.findings} == {"ADR107"}
    assert {f.line for f in report.findings} == {1}


def test_record_that_is_not_utf8_is_a_finding_and_the_file_is_untouched(tmp_path: Path) -> None:
    findings_of(tmp_path, EXAMPLE)
    data = EXAMPLE.encode("utf-16")
    (tmp_path / "docs/adr" / SECOND).write_bytes(data)
    config = load_config(tmp_path)
    report = lint(config, RecordRepository.of(config), None, load_settings(config))
    assert [(f.path.name, f.code) for f in report.findings] == [(SECOND, "ADR001")]
    assert report.unreadable == 1
    assert (tmp_path / "docs/adr" / SECOND).read_bytes() == data


def test_every_rule_has_its_fault_here() -> None:
    apart = {"ADR001", "ADR101", "ADR107", "ADR108", "ADR212", "ADR701", "ADR703", "ADR704",
             "ADR705"}  # fmt: skip
    assert {code for code, *_ in MUTATIONS} | apart == {rule.code for rule in RULES}
