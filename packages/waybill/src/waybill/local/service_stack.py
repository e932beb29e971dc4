"""The whole service on one machine: the embedded stack, migrated, with API, worker, scheduler."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from waybill.api.jwt_settings import load_jwt_settings
from waybill.config import Settings, load_settings
from waybill.local import endpoint
from waybill.local.endpoint import Endpoint
from waybill.local.services import ServiceProcesses
from waybill.local.stack import LocalStack
from waybill.migrations.run import migrate

# One person, one address: bounds that tell people apart are for when they are asked for.
_GENEROUS = {
    "WAYBILL_REQUESTS_PER_SECOND": "1000",
    "WAYBILL_ADDRESS_REQUESTS_PER_SECOND": "2000",
    "WAYBILL_ADDRESS_REQUESTS_BURST": "10000",
    "WAYBILL_MAX_CONNECTIONS_PER_ADDRESS": "10000",
    "WAYBILL_MAX_WATCHERS_PER_PERSON": "5000",
    "WAYBILL_MAX_WATCHERS_PER_ADDRESS": "5000",
    "WAYBILL_MAX_STREAMS_PER_PERSON": "4",
    "WAYBILL_DOCS": "true",
    "WAYBILL_PAGES": "true",
    # Printed once, and clicked when there is time.
    "WAYBILL_PORTAL_LINK_SECONDS": "86400",
}
_TOKEN_FILE = "development-token"  # noqa: S105 - a file's name


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service that answers at ``endpoint``."""

    endpoint: Endpoint
    stack: LocalStack
    processes: ServiceProcesses


def development_token(data_dir: Path) -> str:
    """Return the data directory's own token, made on first use and readable by its owner alone."""
    path = data_dir / _TOKEN_FILE
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="ascii").strip()
    token = secrets.token_urlsafe(24)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token)
    return token


@contextlib.contextmanager
def running_service(
    stack: LocalStack,
    *,
    catalog: str,
    host: str = "127.0.0.1",
    port: int | None = None,
    concurrency: int = 2,
) -> Iterator[RunningService]:
    """Migrate the running ``stack`` and run the service's processes on it for the block.

    Where ``WAYBILL_JWT_…`` says whose tokens count, those alone do, and the endpoint has none.

    Raises:
        ConfigurationError: the catalog or a setting does not hold (before anything starts).
        LocalStackError: a process does not come up, or a port is taken.
    """
    token = "" if load_jwt_settings().is_configured else development_token(stack.data_dir)
    environment = {
        **stack.as_environment(),
        "WAYBILL_CATALOG": catalog,
        **({"WAYBILL_DEVELOPMENT_TOKEN": token} if token else {}),
        # A service of one developer's own: limits are for when they are asked for.
        "WAYBILL_QUOTA_PER_DAY": os.environ.get("WAYBILL_QUOTA_PER_DAY", "unlimited"),
        "WAYBILL_DRY_RUNS_PER_DAY": os.environ.get("WAYBILL_DRY_RUNS_PER_DAY", "unlimited"),
        "WAYBILL_DRY_RUN_ROWS_PER_DAY": os.environ.get("WAYBILL_DRY_RUN_ROWS_PER_DAY", "unlimited"),
        **{name: os.environ.get(name, value) for name, value in _GENEROUS.items()},
    }
    migrate(settings_of(stack, catalog=catalog))
    processes = ServiceProcesses(
        environment,
        log_dir=stack.log_dir,
        guard=stack.guard,
        host=host,
        port=port,
        concurrency=concurrency,
    )
    with processes:
        own = {"catalog": catalog, **({"development_token": token} if token else {})}
        here = Endpoint(processes.url, token, os.getpid(), _settings_values(stack) | own)
        endpoint.publish(here, stack.data_dir)
        try:
            yield RunningService(here, stack, processes)
        finally:
            endpoint.withdraw(stack.data_dir)


def settings_of(stack: LocalStack, **overrides: object) -> Settings:
    """Return settings that point at ``stack``, for use inside this process."""
    return load_settings(**(_settings_values(stack) | overrides))


def _settings_values(stack: LocalStack) -> dict[str, str]:
    prefix = "WAYBILL_"
    return {
        name.removeprefix(prefix).lower(): value for name, value in stack.as_environment().items()
    }
