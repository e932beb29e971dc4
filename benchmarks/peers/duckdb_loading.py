"""Loads DuckDB's postgres extension from its wheel, without a download."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any


def load_postgres(connection: Any) -> None:
    """Load the extension that ``duckdb-extension-postgres`` carries.

    The wheel's file is called ``postgres``, while DuckDB looks in a file for the entry point of
    the file's own name, which is ``postgres_scanner``.
    """
    import duckdb_extension_postgres

    package = Path(next(iter(duckdb_extension_postgres.__path__)))
    (found,) = package.glob("extensions/*/postgres.duckdb_extension")
    with tempfile.TemporaryDirectory() as directory:
        link = Path(directory) / "postgres_scanner.duckdb_extension"
        link.symlink_to(found)
        connection.execute(f"LOAD '{link}'")
