"""Notifications on the command line: list, replay, enable. Talks to the database itself, so it
works while the API is down."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.table import Table

from waybill.cli.exits import UsageMistake
from waybill.cli.operators import PANEL, operate, operator, whole_reach
from waybill.cli.output import moment_text, output_console, print_json
from waybill.clock import instant_text
from waybill.notify.delivery import DeliveryState, DeliveryStatus, NotificationFilter
from waybill.notify.errors import EndpointNotDisabled

if TYPE_CHECKING:
    # Imported where it is used: SQLAlchemy would double the start-up of every other verb.
    from waybill.bootstrap.commands import CommandParts
    from waybill.notify.delivery import DisabledEndpoint

app = typer.Typer(
    no_args_is_help=True,
    help="What people and programs were told: list it, send again what was given up.",
)

ExportOption = Annotated[UUID | None, typer.Option("--export", help="Only of this export.")]
ChannelOption = Annotated[str | None, typer.Option(help="Only by this channel: email, webhook.")]
TargetOption = Annotated[str | None, typer.Option(help="Only to this endpoint, or requester.")]
CodeOption = Annotated[str | None, typer.Option(help="Only this code of the last failure.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one document.")]


def register(parent: typer.Typer) -> None:
    """Add ``notifications`` to ``parent``."""
    parent.add_typer(app, name="notifications", rich_help_panel=PANEL)


@app.command("list")
def list_(
    status: Annotated[
        DeliveryStatus | None, typer.Option(help="Only these; dead was given up.")
    ] = None,
    export_id: ExportOption = None,
    channel: ChannelOption = None,
    target: TargetOption = None,
    code: CodeOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List notifications, the newest first, and the endpoints that answered 410 Gone."""
    wanted = NotificationFilter(
        export_id=export_id, status=status, channel=channel, target=target, code=code
    )

    async def work(parts: CommandParts) -> tuple[list[DeliveryState], list[DisabledEndpoint]]:
        states = parts.notification_states
        return (
            list(await states.list(wanted, within=whole_reach(), limit=limit)),
            list(await states.disabled_endpoints()),
        )

    found, disabled = operate(work)
    if as_json:
        endpoints = {each.name: instant_text(each.disabled_at) for each in disabled}
        print_json({"items": [_document(each) for each in found], "disabled_endpoints": endpoints})
        return
    if found:
        output_console().print(_table(found))
    else:
        typer.echo("There are no such notifications.")
    for each in disabled:
        typer.echo(
            f"Endpoint {each.name} answered 410 Gone ({moment_text(each.disabled_at)}); once it is "
            f"back: waybill notifications enable {each.name}",
            err=True,
        )


@app.command()
def replay(
    export_id: ExportOption = None,
    channel: ChannelOption = None,
    target: TargetOption = None,
    code: CodeOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that were given up, without a narrowing option.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Send again what was given up, at most a thousand at a time.

    Each gets as many attempts as a new one, under the same event id, so that a receiver that took
    it after all drops it. The audit trail names the system's user who runs this.
    """
    narrowed = any(each is not None for each in (export_id, channel, target, code))
    if narrowed == everything:
        raise UsageMistake("Say which (--export, --channel, --target, --code), or --all.")
    wanted = NotificationFilter(export_id=export_id, channel=channel, target=target, code=code)

    async def work(parts: CommandParts) -> list[DeliveryState]:
        from waybill.audit.audit import AuditAction

        listener = parts.audit.listener(operator(), AuditAction.RESENT, code="by_command")
        return list(
            await parts.notification_states.replay(wanted, within=whole_reach(), audit=[listener])
        )

    found = operate(work)
    if as_json:
        print_json({"replayed": [str(each.id) for each in found]})
        return
    for each in found:
        typer.echo(str(each.id))
    typer.echo(f"{len(found)} replayed", err=True)


@app.command()
def enable(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The webhook endpoint.")],
) -> None:
    """Tell an endpoint of new events again, which had answered 410 Gone.

    What was given up meanwhile is sent with ``replay --target NAME``.
    """

    async def work(parts: CommandParts) -> None:
        from waybill.audit.audit import AuditAction

        states = parts.notification_states
        if not await states.enable_endpoint(name):
            raise EndpointNotDisabled(
                name, [each.name for each in await states.disabled_endpoints()]
            )
        await parts.audit.record(operator(), AuditAction.ENABLED, code=name)

    operate(work)
    typer.echo(f"{name} is told of new events again.", err=True)


def _table(states: list[DeliveryState]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("EXPORT", "EVENT", "TO", "STATUS", "TRIES", "CODE", "NEXT, OR SETTLED"):
        table.add_column(title, no_wrap=title == "EXPORT", overflow="fold")
    for each in states:
        table.add_row(
            str(each.export_id),
            each.event.value,
            f"{each.channel} {each.target}",
            each.status.value,
            str(each.attempts),
            each.last_error_code or "",
            moment_text(each.next_attempt_at or each.settled_at),
        )
    return table


def _document(state: DeliveryState) -> dict[str, Any]:
    document = dataclasses.asdict(state)
    for name, value in document.items():
        if isinstance(value, UUID):
            document[name] = str(value)
    for name in ("created_at", "next_attempt_at", "settled_at"):
        document[name] = document[name] and instant_text(document[name])
    return document
