"""``adr check``: what records promise, held against the project.

A fenced ``adr-check`` block declares in TOML what must stay true. Claims are read from such blocks
only, never guessed from prose. Nothing of the project is imported or run, commands excepted when
the caller allows them.
"""

from adrkit.checks.block import read_checks
from adrkit.checks.check import Check, Kind, Malformed
from adrkit.checks.citations import CitationRun, check_citations
from adrkit.checks.kinds import KINDS
from adrkit.checks.run import CheckRun, evaluate, make_context, run_checks
from adrkit.checks.verdict import Evidence, Level, Outcome, Result, Verdict

__all__ = [
    "KINDS", "Check", "CheckRun", "CitationRun", "Evidence", "Kind", "Level", "Malformed",
    "Outcome", "Result", "Verdict", "check_citations", "evaluate", "make_context", "read_checks",
    "run_checks",
]  # fmt: skip
