"""The ``adr`` command: a thin layer over the library, the only place that knows exit codes.

Commands register themselves on ``app`` when their module is imported. To add a group: write
``adrkit/cli/NAME.py`` with ``@app.command()`` functions and enter it in GROUPS.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module

#: Modules of this package with their commands, in the order of ``adr --help``.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "write": ("init", "new"),
    "life": ("accept", "reject", "deprecate", "supersede"),
    "numbers": ("number", "renumber", "ledger"),
    "hooks": ("hooks", "merge-index"),
    "read": ("list", "show", "search"),
    "why": ("why",),
    "lint": ("lint", "rules"),
    "audit": ("audit",),
    "check": ("check",),
    "review": ("review",),
    "survey": ("coverage", "conflicts"),
    "graph": ("graph",),
    "index": ("index",),
    "site": ("site",),
    "export": ("export",),
    "importing": ("import",),
    "template": ("template",),
    "lsp": ("lsp",),
    "mcp": ("mcp",),
}


def main() -> None:
    """Entry point of the console script."""
    # One short run that makes many small objects and keeps most: collecting in between halves the
    # speed of reading records (measured on 5 MB: 10 s with the default threshold, 5 s without).
    gc.set_threshold(200_000, 50, 50)
    load(groups_named(sys.argv[1:]))
    from adrkit.cli.app import app

    app(prog_name="adr")


def groups_named(words: Iterable[str]) -> tuple[str, ...]:
    """Groups of the commands among ``words``; all of them when there is none, for help and errors.

    Half of the time that a short command takes is importing; this spares what it does not need.
    A word that is an option's value loads a group too many, never one too few.
    """
    given = set(words)
    if "--version" in given:
        return ()
    return tuple(name for name, commands in GROUPS.items() if given & set(commands)) or tuple(
        GROUPS
    )


def load(groups: Iterable[str] = GROUPS) -> None:
    """Import the modules, which registers their commands."""
    for name in groups:
        import_module(f"{__name__}.{name}")
