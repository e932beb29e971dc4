"""The ``waybill`` command: one file per group of verbs, all registered in ``app.py``."""

from waybill.cli.app import main

__all__ = ["main"]
