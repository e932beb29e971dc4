"""``manage.py waybill …``: the command line of waybill, with the project's settings."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand

from waybill.cli.app import app
from waybill.cli.exits import run
from waybill.django.settings import as_environment
from waybill.errors import WaybillError


class Command(BaseCommand):
    """Runs waybill's processes (worker, scheduler) and verbs as ``waybill`` does."""

    help = "Run waybill's own command line with this project's settings."

    def run_from_argv(self, argv: list[str]) -> None:
        """Hand over everything behind ``manage.py waybill``."""
        try:
            os.environ.update(as_environment())
        except WaybillError as exc:
            self.stderr.write(str(exc))
            sys.exit(2)
        sys.argv = [" ".join(argv[:2]), *argv[2:]]
        sys.exit(run(app, name="waybill"))

    def handle(self, **_: Any) -> None:
        """Not reached: ``run_from_argv`` ends the process."""
