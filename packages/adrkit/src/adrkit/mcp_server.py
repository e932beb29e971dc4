"""Records for assistants, over the Model Context Protocol: tools that read, and one that writes.

A change is previewed first: the preview gives the diff and a token for just these bytes, and
``apply`` writes what a token stands for, once, if the files are still as they were. Needs the
extra ``adrkeep[mcp]``. Programs that checks name are never run from here.
"""

from __future__ import annotations

import datetime
import functools
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from adrkit import __version__, lifecycle
from adrkit.authoring import create_record
from adrkit.checks.run import make_context, run_checks
from adrkit.config import load_config
from adrkit.errors import AdrkitError, InvalidInput, PathOutside
from adrkit.export import export_records
from adrkit.git import Git
from adrkit.governance import governing
from adrkit.ledger import NumberLedger
from adrkit.previews import Preview, Previews
from adrkit.project_files import ProjectFiles
from adrkit.record import Record
from adrkit.renames import Renames
from adrkit.repository import RecordRepository
from adrkit.vocabulary import status_kind

_SHORT = ("number", "label", "title", "path", "date", "status", "decision", "relations")


class RecordTools:
    """The tools, without the protocol; records are read anew for each call."""

    def __init__(self, start: Path, directory: Path | None = None) -> None:
        self._start, self._directory = start, directory
        self._previews = Previews()

    def list_records(self, status: str | None = None) -> dict[str, Any]:
        """Decision records: number, title, status, decision. `status`: Accepted, Proposed ..."""
        project = self._project()
        records = [
            {key: record[key] for key in _SHORT}
            for record in self._export(project, project.repository.require())
            if status is None or (record["status"] or {}).get("kind") == status.capitalize()
        ]
        return {"records": records, "unreadable": len(project.repository.unreadable)}

    def show_record(self, record: str) -> dict[str, Any]:
        """One record in full, Markdown included. `record`: 7, ADR-0007 or a file name."""
        project = self._project()
        (shown,) = self._export(project, (project.repository.resolve(record),), source=True)
        return shown

    def why(self, file: str) -> dict[str, Any]:
        """Records that govern a file of the project; read them before changing the file."""
        project = self._project()
        root = project.config.root.resolve()
        path = (root / file).resolve()
        if not path.is_relative_to(root):
            raise PathOutside(file, "it is not below the project's root")
        relative = path.relative_to(root).as_posix()
        files = ProjectFiles(root, project.git, project.config.owns)
        renames = Renames(root, project.git, project.config.directory)
        found = governing(files, project.repository.require(), relative, renames)
        return {
            "file": relative,
            "governed_by": [
                {
                    "record": item.record.label,
                    "title": item.record.name,
                    "status": item.record.status_kind.value if item.record.status_kind else None,
                    "decision": item.record.decision.plain if item.record.decision else None,
                    "link": item.link.value,
                    "line": item.line,
                    "detail": item.detail,
                }
                for item in found
            ],
        }

    def check(self, record: str | None = None) -> dict[str, Any]:
        """Hold the project against its records' checks; commands are refused, not run."""
        project = self._project()
        every = project.repository.require()
        chosen = (project.repository.resolve(record),) if record else every
        run = run_checks(make_context(project.config, project.git), chosen, all_records=every)
        return {
            "counts": dict(run.counts()),
            "results": [
                {
                    "record": result.label,
                    "path": result.path,
                    "line": result.line,
                    "kind": result.kind,
                    "verdict": result.verdict.value,
                    "level": result.level.value,
                    "message": result.message,
                }
                for result in run.results
            ],
        }

    def preview_new(
        self,
        title: str,
        status: str = "Proposed",
        supersedes: list[str] | None = None,
        context: str | None = None,
        reason: str | None = None,
    ) -> dict[str, Any]:
        """Shows the next record from the template, and the older ones it marks as superseded
        (`supersedes`: 7, ADR-0007 or file names; `reason`: why). Writes nothing; see `apply`."""
        project, preview = self._project(), Preview()
        older = [project.repository.resolve(name) for name in supersedes or ()]
        kind = status_kind(status, project.config.reading)
        if kind is None:
            raise InvalidInput("status", status, remedy="Proposed, Accepted or Rejected")
        create_record(
            project.config, project.repository,
            NumberLedger(project.repository, project.git), title, today=_today(), status=kind,
            supersedes=older, context_link=context, reason=reason, write=preview.take,
        )  # fmt: skip
        return self._previews.keep(preview, project.config.root)

    def preview_status(self, record: str, status: str, reason: str | None = None) -> dict[str, Any]:
        """Shows a record as Accepted, Rejected or Deprecated. Writes nothing; see `apply`."""
        moves = {
            "accepted": lifecycle.accept, "rejected": lifecycle.reject,
            "deprecated": lifecycle.deprecate,
        }  # fmt: skip
        move = moves.get(status.casefold())
        if move is None:
            raise InvalidInput("status", status, remedy="Accepted, Rejected or Deprecated")
        project, preview = self._project(), Preview()
        found = project.repository.resolve(record)
        move(project.repository, found, reason=reason, write=preview.take)
        return self._previews.keep(preview, project.config.root)

    def preview_supersede(self, record: str, by: str, reason: str | None = None) -> dict[str, Any]:
        """Shows `record` superseded by the record `by`, both linked. Writes nothing; see
        `apply`."""
        project, preview = self._project(), Preview()
        repository = project.repository
        lifecycle.supersede(
            repository, repository.resolve(record), repository.resolve(by), reason=reason,
            write=preview.take,
        )  # fmt: skip
        return self._previews.keep(preview, project.config.root)

    def apply(self, token: str) -> dict[str, Any]:
        """Writes what a preview has shown, all of it or nothing. `token`: the preview's, good for
        one call. Show the diff to your user first."""
        return {"written": self._previews.apply(token, self._project().config.root)}

    def _project(self) -> _Project:
        return _Project(self._start, self._directory)

    @staticmethod
    def _export(
        project: _Project, records: tuple[Record, ...], *, source: bool = False
    ) -> list[dict[str, Any]]:
        config = project.config
        exported = export_records(records, config.root, config.directory, source=source)
        found: list[dict[str, Any]] = exported["records"]
        return found


class _Project:
    def __init__(self, start: Path, directory: Path | None) -> None:
        self.config = load_config(start, directory=directory)
        self.repository = RecordRepository.of(self.config)
        self.git = Git.find(self.config.root)


def make_server(start: Path, directory: Path | None = None) -> MCPServer[Any]:
    """The server for the project that holds ``start``; ``run("stdio")`` serves it."""
    tools = RecordTools(start, directory)
    server: MCPServer[Any] = MCPServer("adrkit", version=__version__)
    reading = ToolAnnotations(
        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    )
    for name, tool in (
        ("list", tools.list_records),
        ("show", tools.show_record),
        ("why", tools.why),
        ("check", tools.check),
    ):
        server.tool(name=name, annotations=reading)(_told(tool))
    # A preview of a new record has the next number and today's date: asked again it may differ.
    showing = reading.model_copy(update={"idempotent_hint": False})
    previews: tuple[tuple[str, Any], ...] = (
        ("preview_new", tools.preview_new),
        ("preview_status", tools.preview_status),
        ("preview_supersede", tools.preview_supersede),
    )
    for name, preview in previews:
        server.tool(name=name, annotations=showing)(_told(preview))
    writing = ToolAnnotations(
        read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False
    )
    server.tool(name="apply", annotations=writing)(_told(tools.apply))
    return server


def _today() -> datetime.date:
    return datetime.datetime.now().astimezone().date()


def _told(tool: Any) -> Any:
    """adrkit's errors with their remedy: the protocol passes on the message alone."""

    @functools.wraps(tool)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return tool(*arguments, **named)
        except AdrkitError as error:
            raise ToolError(f"{error}; {error.remedy}") from error

    return call
