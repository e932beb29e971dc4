"""``adr-exception: 0012 reason``: somebody answers for a finding, in words that stay.

In a commit message of the range, in the text of the pull request (``--message``), or in a line
that the diff adds; there it answers for that file alone. Instead of a number it may name what has
no record: ``dependency``, ``service``, ``schema`` or ``auth``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from adrkit.review.diff import FileDiff, Message
from adrkit.review.findings import ReviewFinding

KINDS = ("dependency", "service", "schema", "auth")
_EXCEPTION = re.compile(
    r"adr-exception:[ \t]*(?P<what>(?:adr[-_ ]?)?\d{1,6}|[a-z]+)?\b[ \t:,–—-]*(?P<reason>.*)", re.I
)
# What closes the comment that an exception stands in is no reason.
_CLOSING = re.compile(r"[ \t]*(?:\*/|-->|#}|%>)[ \t]*$")


@dataclass(frozen=True, slots=True)
class Claim:
    """An exception as written. ``path`` is None for one that answers for the whole range."""

    number: int | None
    kind: str
    reason: str
    path: str | None
    line: int
    raw: str

    def answers(self, finding: ReviewFinding) -> bool:
        if self.path is not None and self.path != finding.path:
            return False
        if self.number is not None:
            return finding.number == self.number
        return finding.rule == f"undecided-{self.kind}"


def read_claims(
    files: Sequence[FileDiff], messages: Iterable[Message], text: str | None
) -> Iterator[Claim]:
    for message in messages:
        yield from _claims_of(message.text)
    yield from _claims_of(text or "")
    for file in files:
        for line in file.added:
            if match := _EXCEPTION.search(line.text):
                yield _claim(match, file.path, line.number)


def _claims_of(text: str) -> Iterator[Claim]:
    # In a message it begins its line: prose about exceptions is none.
    for match in re.finditer(rf"^[ \t>*-]*{_EXCEPTION.pattern}", text, re.I | re.MULTILINE):
        yield _claim(match, None, 1)


def _claim(match: re.Match[str], path: str | None, line: int) -> Claim:
    what = match["what"] or ""
    digits = re.search(r"\d+", what)
    reason = _CLOSING.sub("", match["reason"]).strip()
    return Claim(
        int(digits.group()) if digits else None, what.lower(), reason, path, line,
        match.group().strip(),
    )  # fmt: skip


def answered(
    findings: Iterable[ReviewFinding], claims: Sequence[Claim], numbers: frozenset[int]
) -> tuple[list[ReviewFinding], list[ReviewFinding]]:
    """Findings that count, with those about the claims themselves, and findings excused."""
    findings = list(findings)
    touched = {finding.path for finding in findings}
    kept: list[ReviewFinding] = []
    excused: list[ReviewFinding] = []
    valid = []
    for claim in claims:
        problem = _problem(claim, numbers)
        if problem is None:
            valid.append(claim)
        elif claim.path is None or claim.path in touched:  # else: prose, or an example in a test
            message = f"`{claim.raw}`: {problem}"
            path = claim.path or ""
            kept.append(ReviewFinding("exception-invalid", "error", message, path, claim.line))
    for finding in findings:
        claim_of = next((claim for claim in valid if claim.answers(finding)), None)
        if claim_of is None:
            kept.append(finding)
        else:
            excused.append(replace(finding, excused=claim_of.reason))
    return kept, excused


def _problem(claim: Claim, numbers: frozenset[int]) -> str | None:
    if claim.number is None and claim.kind not in KINDS:
        return f"name a record's number, or one of {', '.join(KINDS)}"
    if claim.number is not None and claim.number not in numbers:
        return f"there is no record ADR-{claim.number:04d}"
    if len(claim.reason.split()) < 2:
        return "say why, in more than a word"
    return None
