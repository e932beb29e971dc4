"""Mending what can be mended safely: edits of spans, nothing rendered anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adrkit.config import Config
from adrkit.confine import boundary_of, root_for
from adrkit.document import Document, Edit
from adrkit.errors import DocumentError
from adrkit.lint.rule import ProjectView
from adrkit.lint.run import lint_record
from adrkit.lint.settings import LintSettings
from adrkit.names import real_path
from adrkit.record import Record
from adrkit.repository import require_inside
from adrkit.transaction import FileChange, apply_changes

_ROUNDS = 5  # one fix may make room for another; none needs more than two


def fix_files(
    config: Config, paths: Sequence[Path], project: ProjectView, settings: LintSettings
) -> int:
    """Mend the files in one transaction; the number of findings mended.

    Raises TransactionError. Files that cannot be read are left for the report.
    """
    changes = []
    total = 0
    for path in paths:
        try:
            require_inside(path, boundary_of(real_path(config.directory)))
            before = Document.read(path)
        except DocumentError:
            continue
        after, mended = fixed(before, project, settings)
        if mended:
            total += mended
            changes.append(FileChange(path, before.to_bytes(), after.to_bytes()))
    if changes:
        # Files beside the records were named by the user: they stay where they are said to be.
        roots = {root_for(path, config.boundary) for path in paths}
        apply_changes(config.directory, changes, *roots)
    return total


def fixed(document: Document, project: ProjectView, settings: LintSettings) -> tuple[Document, int]:
    """The document with all safe fixes, and how many there were."""
    mended = 0
    for _ in range(_ROUNDS):
        edits: list[Edit] = []
        for finding in lint_record(Record(document, project.reading), project, settings):
            if finding.edits and not any(_touch(a, b) for a in finding.edits for b in edits):
                edits += finding.edits
                mended += 1
        if not edits:
            break
        document = document.edit(*edits)
    return document, mended


def _touch(left: Edit, right: Edit) -> bool:
    return left.span.start <= right.span.end and right.span.start <= left.span.end
