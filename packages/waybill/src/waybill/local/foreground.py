"""``waybill local``: the whole service in the foreground, until Ctrl-C."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from waybill.catalog import load
from waybill.errors import ConfigurationError
from waybill.local.accounts import ACCOUNTS, portal_link
from waybill.local.demo import make_users, write_sample_catalog
from waybill.local.endpoint import Endpoint
from waybill.local.service_stack import RunningService, running_service
from waybill.local.signals import orderly_exit
from waybill.local.stack import LocalStack

_CATALOG = Path("waybill.toml")
_SAMPLE_USERS = 100_000


def run_in_foreground(
    *,
    catalog: str | None,
    source_dsn: str | None,
    host: str,
    port: int | None,
    concurrency: int,
    data_dir: Path,
    console: Console,
) -> None:
    """Run until told to stop. Without a catalog and a ``waybill.toml``, sample users are served.

    Raises:
        WaybillError: something does not come up, or a process ended by itself.
    """
    if catalog is None and _CATALOG.is_file():
        catalog = str(_CATALOG)
    if catalog is not None:
        load(catalog)  # a mistake in it ends the command before anything is started
    elif source_dsn is not None:
        raise ConfigurationError(
            "There is no catalog for that database. Write one first: "
            "waybill init --dsn … (it inspects the database and writes waybill.toml)."
        )
    with orderly_exit():
        console.print("Starting PostgreSQL, Valkey and S3 ...")
        with LocalStack(data_dir, source_dsn=source_dsn) as stack:
            if catalog is None:
                console.print("No waybill.toml here: serving sample users. See `waybill init`.")
                make_users(stack.addresses.postgres_dsn, _SAMPLE_USERS, console)
                catalog = str(write_sample_catalog(stack.data_dir))
            console.print("Starting API, worker and scheduler ...")
            with running_service(
                stack, catalog=catalog, host=host, port=port, concurrency=concurrency
            ) as service:
                _print_welcome(service, catalog, console)
                service.processes.wait()


def _print_welcome(service: RunningService, catalog: str, console: Console) -> None:
    first = next(iter(load(catalog)), "users")
    here = service.endpoint
    for line in (
        "",
        f"waybill is ready at {here.url} (API documentation at {here.url}/docs)",
        "",
        *_token_lines(here),
        f"  waybill export {first} --format csv",
        "",
        "or",
        "",
        f"  curl -i -X POST {here.url}/api/{first}/export \\",
        f"    -H {_bearer(here)} \\",
        "    -H 'Content-Type: application/json' -d '{\"format\": \"csv\"}'",
        "",
        *_sign_in_lines(here),
        f"Logs: {service.stack.log_dir}. Ctrl-C stops everything.",
    ):
        console.print(line, markup=False, soft_wrap=True)


def _token_lines(here: Endpoint) -> list[str]:
    if here.token:
        return []
    return [
        "WAYBILL_JWT_… says whose tokens count. With WAYBILL_JWT_SECRETS, one of your own:",
        "",
        "  export WAYBILL_TOKEN=$(waybill token ann)",
    ]


def _bearer(here: Endpoint) -> str:
    return (
        f"'Authorization: Bearer {here.token}'"
        if here.token
        else ('"Authorization: Bearer $WAYBILL_TOKEN"')
    )


def _sign_in_lines(here: Endpoint) -> list[str]:
    if not here.token:
        return []  # the tokens' issuer signs people in
    try:
        links = [f"  {each.role:<14} {portal_link(here, each)}" for each in ACCOUNTS]
    except ConfigurationError:
        return []  # somebody switched the pages off
    return ["or in a browser, by a link that signs you in once:", "", *links, ""]
