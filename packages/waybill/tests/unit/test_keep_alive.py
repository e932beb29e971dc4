"""Every connection to PostgreSQL notices a vanished peer in the same way."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

import waybill
from waybill.keep_alive import keep_alive

ROOT = Path(waybill.__file__).parent


def test_libpq_knows_every_parameter() -> None:
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    assert set(keep_alive()) <= known
    assert "tcp_user_timeout=10000" in make_conninfo("", **keep_alive(seconds=10))


def test_settings_stand_in_one_module() -> None:
    found = [path for path in ROOT.rglob("*.py") if "keepalives_idle" in path.read_text("utf-8")]
    assert [path.name for path in found] == ["keep_alive.py"]
