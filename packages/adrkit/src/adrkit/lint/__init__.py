"""`adr lint`: rules with codes, fixes, waivers and a baseline."""

from adrkit.lint.baseline import Baseline
from adrkit.lint.rule import Finding, Problem, ProjectView, Rule, Severity
from adrkit.lint.rules import RULES, find_rule
from adrkit.lint.run import Report, lint, lint_alone, lint_record, view_of
from adrkit.lint.settings import LintSettings, load_settings

__all__ = [
    "RULES", "Baseline", "Finding", "LintSettings", "Problem", "ProjectView", "Report", "Rule",
    "Severity", "find_rule", "lint", "lint_alone", "lint_record", "load_settings", "view_of",
]  # fmt: skip
