"""A Django project that exports: the shop of ``examples``, on a real database of the test's own."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from waybill.bootstrap.everything import Services
from waybill.config import Settings, load_settings
from waybill.jobs.attempts import ExportAttempt
from waybill.jobs.job import ExportJob
from waybill.local.service_stack import settings_of
from waybill.local.stack import LocalStack
from waybill.local.testing import make_template, temporary_database
from waybill.migrations.run import migrate
from waybill.run.runner import Outcome

EXAMPLE = Path(__file__).parents[5] / "examples" / "django-shop"
sys.path.insert(0, str(EXAMPLE))
os.environ["DJANGO_SETTINGS_MODULE"] = "shop_site.settings"

import django  # noqa: E402

django.setup()
# Read by now; the processes that other tests start are no part of the project.
del os.environ["DJANGO_SETTINGS_MODULE"]

from django.conf import settings as project  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import override_settings  # noqa: E402
from psycopg.conninfo import conninfo_to_dict  # noqa: E402

from waybill.django.host import Host, forget_host, get_host  # noqa: E402
from waybill.django.settings import given_settings  # noqa: E402

ORDERS = 60
"""Of each company."""

WITH_MORE_MIDDLEWARE = [
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    *project.MIDDLEWARE,
]
"""What compresses answers, or leaves them out, around everything."""


def point_at(dsn: str) -> None:
    """Have Django use a database."""
    there = conninfo_to_dict(dsn)
    connection.close()
    connection.settings_dict.update(
        NAME=there["dbname"], USER=there.get("user", ""), PASSWORD=there.get("password", ""),
        HOST=there["host"], PORT=str(there["port"]),
    )  # fmt: skip


@pytest.fixture(scope="session")
def shop_template(local_stack: LocalStack) -> str:
    """Two companies, Acme and Bolt, with the same customers' names and as many orders; Ann and Root
    work for the one, Bob for the other, Guy for none."""

    def prepare(dsn: str) -> None:
        migrate(settings_of(local_stack, database_url=dsn))
        point_at(dsn)
        call_command("migrate", verbosity=0)
        call_command("shop_sample", orders=ORDERS)
        connection.close()

    return make_template(local_stack, prepare)


@pytest.fixture
def shop(local_stack: LocalStack, shop_template: str) -> Iterator[str]:
    """The DSN of a shop of the test's own, to which Django's connection leads."""
    with temporary_database(local_stack, shop_template) as dsn:
        point_at(dsn)
        yield dsn
        connection.close()


@dataclass
class Project:
    """The shop's project while a test runs, and a worker to run its exports."""

    dsn: str = field(repr=False)

    @property
    def host(self) -> Host:
        return get_host()

    def settings(self) -> Settings:
        return load_settings(**given_settings())

    def run(self, export_id: UUID | str) -> tuple[Outcome, ExportJob, bytes]:
        """Run an export as a worker would; returns how it ended, its job and its file."""

        async def work() -> tuple[Outcome, ExportJob, bytes]:
            async with Services(self.settings(), catalog=self.host.catalog) as services:
                outcome = await services.runner.run(UUID(str(export_id)))
                job = await services.repository.find(UUID(str(export_id)))
                assert job is not None
                data = b"".join(services.storage.read(job.object_key)) if job.object_key else b""
                return outcome, job, data

        return asyncio.run(work())

    def attempts(self, export_id: UUID) -> list[ExportAttempt]:
        """Return an export's attempts, as its operators see them."""
        return list(self.host.run(self.host.parts.repository.attempts_of(export_id)))


@pytest.fixture
def project_settings(local_stack: LocalStack) -> dict[str, Any]:
    """What the shop's ``WAYBILL`` says for the test's servers."""
    addresses = local_stack.addresses
    return {
        **project.WAYBILL,
        "REDIS_URL": local_stack.valkey.url(1),
        "S3_ENDPOINT_URL": addresses.s3_endpoint_url,
        "S3_BUCKET": addresses.s3_bucket,
        "S3_REGION": addresses.s3_region,
        "S3_ACCESS_KEY_ID": addresses.s3_access_key,
        "S3_SECRET_ACCESS_KEY": addresses.s3_secret_key,
        "S3_PREFIX": f"test-{secrets.token_hex(6)}",
        "QUOTA_PER_DAY": "unlimited",
        "LOG_LEVEL": "WARNING",
    }


@pytest.fixture
def shop_project(shop: str, project_settings: dict[str, Any]) -> Iterator[Project]:
    """The project, set to the test's servers."""
    with override_settings(WAYBILL=project_settings):
        forget_host()
        yield Project(shop)
        forget_host()


Sign = Callable[[str], Any]


@pytest.fixture
def sign_in(shop_project: Project) -> Sign:
    """Return a browser in which somebody of the shop is signed in."""
    from django.contrib.auth.models import User
    from django.test import Client

    def browser(name: str) -> Client:
        client = Client(enforce_csrf_checks=False)
        client.force_login(User.objects.get(username=name))
        return client

    return browser
