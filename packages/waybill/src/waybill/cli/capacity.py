"""``waybill capacity``: how many workers a rate of exports takes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from waybill.capacity.simulation import Forecast, Load, places_for, simulate
from waybill.cli.exits import UsageMistake
from waybill.cli.output import print_json
from waybill.cli.own_settings import load_own_settings

_PANEL = "Run the service"
_WORTH_SAYING: Final = 1.05
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)(?:/(s|min|h|day))?")
_PER: Final = {None: 1, "s": 1, "min": 60, "h": 3600, "day": 86_400}
_SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?)(s|min|h)?")
_PART: Final = re.compile(
    r"(?P<name>[a-z][a-z0-9_.-]*)=(?P<share>\d+(?:\.\d+)?)(?:@(?P<seconds>\d+(?:\.\d+)?))?"
)


def register(app: typer.Typer) -> None:
    """Add the verb of this file to ``app``."""
    app.command(rich_help_panel=_PANEL)(capacity)


def capacity(
    rate: Annotated[str, typer.Option(help="Requests: 20/min, 500/h, 3/s.")],
    mix: Annotated[
        str | None,
        typer.Option(
            help="Shares of kinds: users.csv=3,orders.parquet=1, each as measured, or with seconds "
            "of your own: users.csv=3@4.5. What was requested lately, if left out."
        ),
    ] = None,
    slo: Annotated[str, typer.Option(help="From the request to the file: 60s, 5min.")] = "60s",
    share: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="Which share keeps to it.")
    ] = 0.99,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Exports that one worker runs at a time.")
    ] = 2,
    days: Annotated[int, typer.Option(min=1, help="How many days of history count.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Say how many workers a rate of exports takes, and how long exports wait.

    A simulation (requests at random, first come first served) with what exports really took on this
    service. It knows nothing of a source or storage that slows down under load: measure with as
    many exports at a time as you mean to run. Small exports that ran side by side kept a place for
    their part of the time, as they did then.
    """
    per_second, slo_seconds = _rate_of(rate), _seconds_of(slo)
    loads = _loads_of(mix, days)
    found = places_for(per_second, loads, slo_seconds=slo_seconds, share=share)
    if found is None:
        raise UsageMistake(
            f"No number of workers makes {share:.2%} of these exports end within {slo}: they take "
            "longer by themselves. Raise --slo, or lower --share."
        )
    workers = -(-found.places // concurrency)
    # Whole workers, and what one less and one more would come to.
    around = [
        simulate(per_second, loads, each * concurrency, slo_seconds=slo_seconds)
        for each in (workers - 1, workers, workers + 1)
        if each
    ]
    if as_json:
        print_json(
            {
                "workers": workers,
                "side_by_side": round(_side_by_side(loads), 2),
                "forecasts": [dataclasses.asdict(each) for each in around],
            }
        )
        return
    _print(around, concurrency, slo)
    beside = _side_by_side(loads)
    if beside >= _WORTH_SAYING:
        typer.echo(f"Small exports ran side by side: {beside:.1f} exports at a time in a place.")
    typer.echo(f"capacity: {workers} workers of {concurrency} places for {rate}")


def _side_by_side(loads: Sequence[Load]) -> float:
    """Return how many exports a busy place had at a time, in what was measured."""
    shares = [load.share / len(load.seconds) for load in loads]
    took = sum(share * sum(load.seconds) for share, load in zip(shares, loads, strict=True))
    held = sum(
        share * sum(load.held or load.seconds) for share, load in zip(shares, loads, strict=True)
    )
    return took / held


def _rate_of(text: str) -> float:
    found = _RATE.fullmatch(text)
    if found is None or not float(found[1]):
        raise UsageMistake(f"--rate {text!r} is none: write 20/min, 500/h or 3/s.")
    return float(found[1]) / _PER[found[2]]


def _seconds_of(text: str) -> float:
    found = _SECONDS.fullmatch(text)
    if found is None or not float(found[1]):
        raise UsageMistake(f"--slo {text!r} is none: write 60s or 5min.")
    return float(found[1]) * _PER[found[2]]


def _loads_of(mix: str | None, days: int) -> list[Load]:
    parts = [_PART.fullmatch(each.strip()) for each in mix.split(",")] if mix else []
    wanted = [part for part in parts if part is not None and float(part["share"])]
    if len(wanted) < len(parts):
        raise UsageMistake(
            f"--mix {mix!r} cannot be read: write users.csv=3,orders.csv=1@4.5, a share and, if "
            "you like, seconds."
        )
    if wanted and all(part["seconds"] for part in wanted):
        return [
            Load(part["name"], float(part["share"]), (float(part["seconds"]),)) for part in wanted
        ]
    from waybill.capacity.measured import measured_loads

    own = load_own_settings()
    found = measured_loads(own.database_dsn, days=days, schema=own.own_schema)
    known = {load.name: load for load in found}
    if not wanted:
        return list(known.values())
    return [_load_of(part, known) for part in wanted]


def _load_of(part: re.Match[str], known: dict[str, Load]) -> Load:
    name, share = part["name"], float(part["share"])
    if part["seconds"]:
        return Load(name, share, (float(part["seconds"]),))
    if name not in known:
        raise UsageMistake(
            f"No export {name!r} has completed lately. There are {', '.join(sorted(known))}; or "
            f"give seconds of your own: {name}={part['share']}@4.5."
        )
    return dataclasses.replace(known[name], share=share)


def _print(forecasts: Sequence[Forecast], concurrency: int, slo: str) -> None:
    table = Table("workers", "busy", "waits p50", "p95", "p99", "file p95", f"within {slo}")
    for each in forecasts:
        grows = each.busy >= 1
        figures = (each.waiting_p50, each.waiting_p95, each.waiting_p99, each.total_p95)
        table.add_row(
            str(each.places // concurrency),
            f"{each.busy:.0%}",
            *("grows" if grows else f"{figure:.1f} s" for figure in figures),
            "never" if grows else f"{each.within_slo:.2%}",
        )
    Console(highlight=False).print(table, markup=False)
