"""The application with all of its commands, for tests and for the reference."""

from __future__ import annotations

from adrkit.cli import load
from adrkit.cli.app import app

load()

__all__ = ["app"]
