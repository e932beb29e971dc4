"""``[tool.adrkit.check]``: how checks run in a project. Nothing here can allow commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from adrkit.config import Config
from adrkit.errors import ConfigError, PathOutside
from adrkit.project_files import checked_relative

_KEYS = ("citations", "exclude-citations", "source-roots", "pattern-timeout-seconds")
_PATTERN_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """``citations`` are globs of files that may cite records, by default the project's general
    setting of that name; ``exclude_citations`` are taken out of them again."""

    citations: tuple[str, ...]
    exclude_citations: tuple[str, ...]
    source_roots: tuple[str, ...]
    pattern_timeout_seconds: float

    @classmethod
    def of(cls, config: Config) -> Self:
        """Raises ConfigError."""
        table = config.table("check")
        source = config.source or config.root
        if unknown := sorted(set(table) - set(_KEYS)):
            raise ConfigError(
                source,
                f"unknown setting check.{unknown[0]}",
                remedy=f"known settings: {', '.join(_KEYS)}",
            )
        timeout = table.get("pattern-timeout-seconds", _PATTERN_TIMEOUT_SECONDS)
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
            raise ConfigError(
                source, "check.pattern-timeout-seconds must be a number above 0", remedy="write 5"
            )

        def globs(key: str, default: tuple[str, ...]) -> tuple[str, ...]:
            value: Any = table.get(key)
            if value is None:
                return default
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise ConfigError(
                    source, f"check.{key} must be a list of strings", remedy='write ["src/**"]'
                )
            try:
                return tuple(checked_relative(item) for item in value)
            except PathOutside as error:
                raise ConfigError(source, f"check.{key}: {error}", remedy=error.remedy) from error

        return cls(
            globs("citations", config.citations),
            globs("exclude-citations", ()),
            globs("source-roots", ()),
            float(timeout),
        )
