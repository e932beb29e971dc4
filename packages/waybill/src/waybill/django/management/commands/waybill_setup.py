"""``manage.py waybill_setup``: once, and after each update."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from waybill.bootstrap.api import ApiParts
from waybill.config import load_settings
from waybill.django.catalog import load
from waybill.django.settings import given_settings
from waybill.errors import RunError, WaybillError
from waybill.migrations.run import migrate


class Command(BaseCommand):
    """Makes waybill's tables, and looks whether its storage can be written to."""

    help = "Make waybill's tables in the project's database, or bring them up to date."

    def handle(self, **_: Any) -> None:
        """Do it; safe to run again, and by several at once."""
        try:
            settings = load_settings(**given_settings())
            self.stdout.write(f"waybill's tables are at {migrate(settings)}.")
            parts = ApiParts(settings, catalog=load())
            parts.storage.check()
        except (WaybillError, RunError) as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write(
            f"{len(parts.catalog)} models can be exported. Exports run in `manage.py waybill "
            "worker`, with `manage.py waybill scheduler` beside it."
        )
