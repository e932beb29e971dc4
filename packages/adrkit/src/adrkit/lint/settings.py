"""The ``lint`` table of the settings."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adrkit.config import Config
from adrkit.errors import ConfigError, InvalidInput
from adrkit.lint.rule import DEFAULT_MAX_WORDS, Severity
from adrkit.lint.rules import BY_CODE, codes_matching

DEFAULT_BASELINE = ".adr-lint-baseline.json"
_KEYS = {"select", "ignore", "severity", "max-words", "baseline", "waivers"}


@dataclass(frozen=True, slots=True)
class ConfigWaiver:
    """One ``[[lint.waivers]]``; ``path`` is a glob relative to the root."""

    code: str
    path: str
    reason: str
    until: str


@dataclass(frozen=True, slots=True)
class LintSettings:
    enabled: frozenset[str] = frozenset(BY_CODE)
    severities: Mapping[str, Severity] = field(default_factory=dict)
    max_words: int = DEFAULT_MAX_WORDS
    baseline: Path | None = None
    waivers: tuple[ConfigWaiver, ...] = ()


def load_settings(
    config: Config, *, select: Sequence[str] = (), ignore: Sequence[str] = ()
) -> LintSettings:
    """Settings with the command line's; its ``select`` replaces, its ``ignore`` adds.

    Raises ConfigError or InvalidInput for what names no rule.
    """
    table = config.table("lint")
    path = config.source or config.root
    if unknown := sorted(set(table) - _KEYS):
        raise ConfigError(
            path,
            f"unknown lint setting {unknown[0]!r}",
            remedy=f"known: {', '.join(sorted(_KEYS))}",
        )
    severities, off = _severities(path, table.get("severity", {}))
    selected = _codes(select) if select else _codes(_strings(path, table, "select"))
    enabled = (selected or frozenset(BY_CODE)) - _codes(_strings(path, table, "ignore"))
    enabled -= _codes(ignore) | off
    words = table.get("max-words", DEFAULT_MAX_WORDS)
    if isinstance(words, bool) or not isinstance(words, int) or words < 1:
        raise ConfigError(path, "'max-words' must be a number", remedy="write max-words = 1200")
    baseline = table.get("baseline", DEFAULT_BASELINE)
    if not isinstance(baseline, str) or not baseline:
        raise ConfigError(path, "'baseline' must be a path", remedy="write it as a string")
    waivers = table.get("waivers", [])
    if not isinstance(waivers, list) or not all(isinstance(item, dict) for item in waivers):
        raise ConfigError(path, "'waivers' must be tables", remedy="write [[lint.waivers]]")
    return LintSettings(
        enabled, severities, words, config.inside("lint.baseline", config.root / baseline),
        tuple(_waiver(path, item) for item in waivers),
    )  # fmt: skip


def _waiver(path: Path, item: Mapping[str, Any]) -> ConfigWaiver:
    if unknown := sorted(set(item) - {"code", "path", "reason", "until"}):
        raise ConfigError(
            path, f"unknown key {unknown[0]!r} in a waiver", remedy="code, path, reason, until"
        )
    until = item.get("until", "")
    if isinstance(until, datetime.date):
        until = until.isoformat()
    values = [item.get("code"), item.get("path"), item.get("reason", ""), until]
    if not all(isinstance(value, str) for value in values) or not values[0] or not values[1]:
        raise ConfigError(path, "a waiver needs code and path", remedy="both are strings")
    return ConfigWaiver(*map(str, values))


def _severities(path: Path, table: object) -> tuple[dict[str, Severity], frozenset[str]]:
    if not isinstance(table, dict):
        raise ConfigError(path, "'severity' must be a table", remedy='write ADR801 = "error"')
    found: dict[str, Severity] = {}
    off: set[str] = set()
    for pattern, value in table.items():
        codes = _codes([pattern])
        if value == "off":
            off |= codes
        elif value in list(Severity):
            found |= dict.fromkeys(codes, Severity(value))
        else:
            raise ConfigError(
                path, f"severity {value!r} of {pattern}", remedy="error, warning or off"
            )
    return found, frozenset(off)


def _strings(path: Path, table: Mapping[str, Any], key: str) -> list[str]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(path, f"{key!r} must be a list of codes", remedy='write ["ADR4"]')
    return value


def _codes(patterns: Sequence[str]) -> frozenset[str]:
    found: set[str] = set()
    for item in patterns:
        for pattern in filter(None, (part.strip() for part in item.split(","))):
            codes = codes_matching(pattern)
            if not codes:
                raise InvalidInput("rule", pattern, remedy="`adr rules` lists codes and names")
            found |= codes
    return frozenset(found)
