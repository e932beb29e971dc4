"""All rules. To add one: a function in the module of its group, and a line in its test."""

from __future__ import annotations

from collections.abc import Mapping

from adrkit.lint.rule import Rule, Severity
from adrkit.lint.rules import (
    alternatives,
    consequences,
    header,
    identity,
    length,
    links,
    relations,
    sections,
)

#: Found by the runner itself, not by a function over one record.
_RUNNER_RULES = (
    Rule("ADR001", "unreadable", "A file that is not UTF-8 text cannot be checked, which must not "
         "pass for well.", "save it as UTF-8"),
    Rule("ADR107", "number-collision", "Two records with one number, here or on another branch: "
         "after a merge every citation of the number is ambiguous.",
         "`adr renumber` gives one of them the next free number, with all links"),
    Rule("ADR108", "number-gap", "Numbers are sequential. One that no branch and no commit ever "
         "had was skipped by mistake.", "renumber the record, or leave the gap and waive this",
         Severity.WARNING),
    Rule("ADR901", "waiver-unexplained", "Whoever meets a waiver later must learn why it is there.",
         'add reason="..."'),
    Rule("ADR902", "waiver-expired", "A waiver is for a time; its time is over.",
         "mend what it covers, or argue for a new date"),
    Rule("ADR903", "waiver-unknown-code", "A waiver of a rule that does not exist covers nothing.",
         "`adr rules` lists the codes"),
    Rule("ADR904", "waiver-unused", "The waiver covers nothing any more.", "remove it",
         Severity.WARNING),
    Rule("ADR905", "waiver-undated", "A waiver without a day on which it ends lasts for ever.",
         "add until=YYYY-MM-DD"),
)  # fmt: skip

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (
            *_RUNNER_RULES,
            *identity.GROUP.rules,
            *header.GROUP.rules,
            *sections.GROUP.rules,
            *alternatives.GROUP.rules,
            *consequences.GROUP.rules,
            *links.GROUP.rules,
            *relations.GROUP.rules,
            *length.GROUP.rules,
        ),
        key=lambda rule: rule.code,
    )
)

BY_CODE: Mapping[str, Rule] = {rule.code: rule for rule in RULES}
_BY_NAME = {rule.name: rule for rule in RULES}


def find_rule(name: str) -> Rule | None:
    """Rule by code or kebab name."""
    return BY_CODE.get(name.upper()) or _BY_NAME.get(name.lower())


def codes_matching(pattern: str) -> frozenset[str]:
    """Codes for a code, a name or the beginning of codes ("ADR4"); empty when there is none."""
    rule = find_rule(pattern)
    if rule is not None:
        return frozenset({rule.code})
    if pattern.upper().startswith("ADR"):
        return frozenset(code for code in BY_CODE if code.startswith(pattern.upper()))
    return frozenset()
