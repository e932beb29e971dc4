"""Records for assistants, over the Model Context Protocol: four tools that only read.

Needs the extra ``adrkeep[mcp]``. Programs that checks name are never run from here.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from adrkit import __version__
from adrkit.checks.run import make_context, run_checks
from adrkit.config import load_config
from adrkit.errors import AdrkitError, PathOutside
from adrkit.export import export_records
from adrkit.git import Git
from adrkit.governance import governing
from adrkit.project_files import ProjectFiles
from adrkit.record import Record
from adrkit.renames import Renames
from adrkit.repository import RecordRepository

_SHORT = ("number", "label", "title", "path", "date", "status", "decision", "relations")


class RecordTools:
    """The tools, without the protocol; records are read anew for each call."""

    def __init__(self, start: Path, directory: Path | None = None) -> None:
        self._start, self._directory = start, directory

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
    return server


def _told(tool: Any) -> Any:
    """adrkit's errors with their remedy: the protocol passes on the message alone."""

    @functools.wraps(tool)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return tool(*arguments, **named)
        except AdrkitError as error:
            raise ToolError(f"{error}; {error.remedy}") from error

    return call
