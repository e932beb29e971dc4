"""A review as text and as the Markdown comment of a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator

from adrkit.governance import Governance, Link
from adrkit.review.findings import Review, ReviewFinding

#: By this line a workflow finds the comment that it wrote before, to renew it.
COMMENT_MARK = "<!-- adr-review -->"
_GOVERNED_SHOWN = 20
_ICONS = {"error": "❌", "warning": "⚠️", "note": "ℹ️"}
_MARKUP = re.compile(r"([\\`*_\[\]()|~<>#!])")


def text_lines(review: Review) -> Iterator[str]:
    for path, reasons in review.governed:
        yield f"{path} is governed by {_labels(review, reasons)}"
    for finding in review.findings:
        yield f"{_place(finding)}: {finding.level} {finding.rule}: {finding.message}"
        if finding.place is not None:
            yield f"    {finding.place[0]}:{finding.place[1]}"
    for finding in review.excused:
        yield f"{_place(finding)}: excused {finding.rule}: {finding.message}"
        yield f"    because: {finding.excused}"
    yield summary(review)


def summary(review: Review) -> str:
    counts = dict.fromkeys(("error", "warning", "note"), 0)
    for finding in review.findings:
        counts[finding.level] += 1
    said = ", ".join(f"{count} {level}s" for level, count in counts.items())
    parts = [
        f"{review.files} files in {review.commits} commits since {review.base[:10]}",
        f"{len(review.governed)} governed", said,
    ]  # fmt: skip
    if review.excused:
        parts.append(f"{len(review.excused)} excused")
    if review.skipped_commands:
        parts.append(f"{review.skipped_commands} commands left out")
    return "; ".join(parts)


def markdown(review: Review) -> str:
    """A comment. Names and titles come from the branch under review: nothing in them is markup,
    and nobody is mentioned by them."""
    lines = [COMMENT_MARK, "### Decisions", ""]
    if review.findings:
        lines += ["| | Where | What |", "| --- | --- | --- |"]
        for item in review.findings:
            where = f"{_code(_place(item))}"
            lines.append(
                f"| {_ICONS[item.level]} `{item.rule}` | {where} | {_plain(item.message)} |"
            )
        lines.append("")
    else:
        lines += ["Nothing that was decided is broken.", ""]
    if review.excused:
        lines += ["Excused:", ""]
        lines += [
            f"- {_code(_place(item))}: {_plain(item.message)}, because {_plain(item.excused)}"
            for item in review.excused
        ]
        lines.append("")
    if review.records:
        lines += [f"Records of this change: {', '.join(map(_plain, review.records))}.", ""]
    if review.governed:
        lines += [
            "<details><summary>Decisions that govern the changed files"
            f" ({len(review.governed)})</summary>", "",
        ]  # fmt: skip
        lines += [
            f"- {_code(path)}: {_plain(_labels(review, reasons, titles=True))}"
            for path, reasons in review.governed[:_GOVERNED_SHOWN]
        ]
        rest = len(review.governed) - _GOVERNED_SHOWN
        lines += [f"- and {rest} more: `adr why FILE` shows them"] if rest > 0 else []
        lines += ["", "</details>", ""]
    if any(item.level != "note" for item in review.findings):
        lines += [
            "<sub>To answer for a finding, write `adr-exception: NUMBER why` (or `dependency`, "
            "`service`, `schema`, `auth` instead of the number) into a commit message or the "
            "description.</sub>", "",
        ]  # fmt: skip
    lines.append(f"<sub>{_plain(summary(review))}</sub>")
    return "\n".join(lines) + "\n"


def _labels(review: Review, reasons: tuple[Governance, ...], *, titles: bool = False) -> str:
    found: dict[str, set[str]] = {}
    for reason in reasons:
        label = reason.record.label
        if titles and reason.record.name:
            label += f" {reason.record.name}"
        if area := review.area(reason.record):
            label += f" of {area}"
        found.setdefault(label, set()).add(
            {Link.CITES: "names it", Link.CHECKS: "checks it", Link.CITED: "cited"}[reason.link]
        )
    return "; ".join(f"{label} ({', '.join(sorted(how))})" for label, how in found.items())


def _place(finding: ReviewFinding) -> str:
    return f"{finding.path}:{finding.line}" if finding.path else "commit message"


def _plain(text: str) -> str:
    """Text as it is: no markup, no table cell, no `@name` and no `#12` that would call somebody."""
    one_line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return _MARKUP.sub(r"\\\1", one_line).replace("@", "@\u200b").replace("://", ":\u200b//")


def _code(text: str) -> str:
    one_line = "".join(c if c.isprintable() and c not in "`|" else "\ufffd" for c in text)
    return f"`{one_line}`"
