"""The comparison that ``setting`` and ``config`` share, and its message."""

from __future__ import annotations

import datetime
from typing import Any

from adrkit.checks.context import CheckContext
from adrkit.checks.operators import Operator, shown
from adrkit.checks.verdict import CannotEvaluate, Evidence, Outcome, judged


def compared(
    context: CheckContext, operator: Operator, found: Any, wanted: Any, what: str, where: Evidence
) -> Outcome:
    """Raises CannotEvaluate, with ``where`` as its evidence."""
    try:
        if operator.name == "matches":
            holds = isinstance(found, str) and context.patterns.search_text(wanted, found)
        else:
            holds = operator.compare(_dates_as_text(found), _dates_as_text(wanted))
    except CannotEvaluate as error:
        raise CannotEvaluate(f"{what}: {error}", error.evidence or where) from error
    message = f"{what} is {shown(found)}"
    if not holds:
        message += f", must be {operator.name} {shown(wanted)}"
    return judged(holds, message, where)


def _dates_as_text(value: Any) -> Any:
    """TOML and YAML read dates, JSON and INI text: all compare as ISO 8601 text."""
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else value
