"""The ``adr`` command: a thin layer over the library, the only place that knows exit codes.

Commands register themselves on ``app`` when their module is imported. To add a group: write
``adrkit/cli/NAME.py`` with ``@app.command()`` functions and add its name to GROUPS.
"""

from __future__ import annotations

import gc
from importlib import import_module

from adrkit.cli.app import EXIT_FINDINGS, EXIT_OK, EXIT_USAGE, Workspace, app, workspace

#: Modules of this package, in the order of ``adr --help``.
GROUPS = (
    "write",
    "life",
    "numbers",
    "read",
    "why",
    "lint",
    "audit",
    "check",
    "graph",
    "index",
    "site",
    "export",
    "importing",
    "template",
    "lsp",
    "mcp",
)

for _group in GROUPS:
    import_module(f"{__name__}.{_group}")


def main() -> None:
    """Entry point of the console script."""
    # One short run that makes many small objects and keeps most: collecting in between halves the
    # speed of reading records (measured on 5 MB: 10 s with the default threshold, 5 s without).
    gc.set_threshold(200_000, 50, 50)
    app(prog_name="adr")


__all__ = [
    "EXIT_FINDINGS",
    "EXIT_OK",
    "EXIT_USAGE",
    "GROUPS",
    "Workspace",
    "app",
    "main",
    "workspace",
]
