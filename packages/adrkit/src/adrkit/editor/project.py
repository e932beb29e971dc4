"""One project as an editor sees it: the files on disk, and the texts it holds."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from adrkit.checks import make_context, run_checks
from adrkit.config import load_config
from adrkit.document import Document
from adrkit.editor.completion import Completion, complete
from adrkit.editor.remarks import Remark, relocated, remarks_of_findings, remarks_of_results
from adrkit.git import Git
from adrkit.lint import RULES, lint, lint_alone, load_settings, view_of
from adrkit.lint.fixes import fixed
from adrkit.project_files import ProjectFiles
from adrkit.record import Record
from adrkit.repository import RecordRepository, is_record_path

_CITATION = re.compile(r"\bADR[-_ ]?0*(\d{1,6})\b", re.IGNORECASE)
_ALONE = frozenset(rule.code for rule in RULES if rule.check is not None) - {"ADR601", "ADR602"}


class EditorProject:
    """Read once; make a new one when files were saved.

    Raises ConfigError for settings that cannot be read.
    """

    def __init__(self, start: Path, directory: Path | None = None) -> None:
        self.config = load_config(start, directory=directory)
        self.settings = load_settings(self.config)
        self.repository = RecordRepository.of(self.config)
        self.git = Git.find(self.config.root)
        self.files = ProjectFiles(self.config.root, self.git, self.config.owns)

    @cached_property
    def records(self) -> tuple[Record, ...]:
        return self.repository.list() if self.config.directory.is_dir() else ()

    @cached_property
    def _paths(self) -> tuple[Path, ...]:
        return self.repository.paths if self.config.directory.is_dir() else ()

    def is_record(self, path: Path) -> bool:
        """Whether a file is, or would be, a record of this project."""
        directory = self.config.directory.resolve()
        resolved = path.resolve()
        if not resolved.is_relative_to(directory):
            return False
        return resolved in {item.resolve() for item in self._paths} or is_record_path(
            path, exclude=self.config.exclude, relative=resolved.relative_to(directory).as_posix()
        )

    def remarks(self, path: Path, text: str) -> list[Remark]:
        """Everything there is to say of a record, its checks included; programs are never run."""
        report = lint(
            self.config, self.repository, self.git, self.settings, only=(path,), texts={path: text}
        )
        found = list(remarks_of_findings(report.findings, text, _ALONE))
        record = Record(Document.from_text(text, path), self.config.reading)
        context = make_context(self.config, self.git, commands="skip")
        run = run_checks(context, (record,), all_records=self.records)
        found += remarks_of_results(run.results, text)
        return found

    def remarks_while_typing(self, path: Path, text: str, before: list[Remark]) -> list[Remark]:
        """What this text alone tells, and of ``before`` what needed more and still stands."""
        project = view_of(self.config, self.settings, (*self._paths, path))
        findings = lint_alone(self.config, path, text, project, self.settings)
        kept = relocated([remark for remark in before if not remark.alone], text)
        return [*remarks_of_findings(findings, text, _ALONE), *kept]

    def mended(self, path: Path, text: str) -> str:
        """The text with all safe fixes."""
        project = view_of(self.config, self.settings, (*self._paths, path))
        return fixed(Document.from_text(text, path), project, self.settings)[0].text

    def complete(self, path: Path, text: str, offset: int) -> Completion | None:
        return complete(self.records, self.files, self.is_record(path), path, text, offset)

    def record_cited_at(self, text: str, offset: int) -> Record | None:
        """The record of the ADR-NNNN that stands at ``offset``."""
        low = text.rfind("\n", 0, offset) + 1
        for match in _CITATION.finditer(text, low):
            if match.start() > offset:
                break
            if match.start() <= offset <= match.end():
                number = int(match.group(1))
                return next((r for r in self.records if r.number == number), None)
        return None
