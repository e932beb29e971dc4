"""``make operate``: faults one by one, and which alerts arrive at whom.

    python -m waybill.local.faults.operate [--only WaybillStorageAway]

A table of how long each alert took to arrive and to be withdrawn; minutes of the rules are seconds
here. The last line is ``operate: N faults, N alerts fired, N resolved, 0 missing, 0 unasked``; the
exit status is 1 if any is missing or was not asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from waybill.local.faults.operate.house import FAULTS, Fault, House, house
from waybill.local.faults.operate.watch import Watch
from waybill.local.ports import draw_free_port
from waybill.local.service_stack import settings_of
from waybill.local.signals import orderly_exit
from waybill.local.stack import LocalStack
from waybill.log import configure_logging
from waybill.migrations.run import migrate

_DEPLOY = Path(__file__).parents[7] / "deploy"
_FIRES_SECONDS = 120.0
_RESOLVES_SECONDS = 120.0
_NUDGE_SECONDS = 1.0
_QUIET_SECONDS = 10.0


@dataclass(slots=True)
class Tally:
    """What came of it."""

    faults: int = 0
    fired: int = 0
    resolved: int = 0
    missing: int = 0
    unasked: int = 0

    def __str__(self) -> str:
        return (
            f"operate: {self.faults} faults, {self.fired} alerts fired, {self.resolved} resolved, "
            f"{self.missing} missing, {self.unasked} unasked"
        )

    @property
    def exit_status(self) -> int:
        return int(bool(self.missing or self.unasked) or self.resolved < self.faults)


def operate(
    directory: Path,
    faults: tuple[Fault, ...],
    console: Console,
    *,
    quiet_seconds: float = _QUIET_SECONDS,
) -> Tally:
    """Put each fault into a service of its own making, and wait for its alert. Before them is a
    quiet while, in which nobody is to be told anything."""
    ports: dict[str, int] = {}
    for name in ("api", "worker", "scheduler"):
        ports[name] = draw_free_port(frozenset(ports.values()))
    watch = Watch(directory, _DEPLOY / "prometheus" / "rules.yml", ports)
    tally = Tally()
    with LocalStack(directory / "stack", fast=True) as stack:
        migrate(settings_of(stack))
        with house(stack, directory, ports) as service, watch.running():
            service.request("users", 3)
            time.sleep(quiet_seconds)
            for fault in faults:
                _try(fault, service, watch, tally, console)
            asked = {alert for fault in faults for alert in (fault.alert, *fault.may)}
            told = {each.alert for each in watch.sink.told if each.is_firing}
            for alert in sorted(told - asked):
                console.print(f"  unasked: {alert}", style="red")
            tally.unasked += len(told - asked)
            _look_at_dashboard(watch, console)
    return tally


def _try(fault: Fault, service: House, watch: Watch, tally: Tally, console: Console) -> None:
    tally.faults += 1
    service.rest()
    before = len(watch.sink.told)
    began_at = time.monotonic()
    with fault.put(service):
        fired = _wait_fired(fault, service, watch, before)
    mended_at = time.monotonic()
    if fired is None:
        tally.missing += 1
        console.print(f"  {fault.name:42} {fault.alert:26} did not fire", style="red")
        return
    tally.fired += 1
    resolved = watch.sink.wait(
        fault.alert, firing=False, since=before, within_seconds=_RESOLVES_SECONDS
    )
    for alert in fault.may:
        if any(told.alert == alert and told.is_firing for told in watch.sink.told[before:]):
            watch.sink.wait(alert, firing=False, since=before, within_seconds=_RESOLVES_SECONDS)
    others = {told.alert for told in watch.sink.told[before:] if told.is_firing}
    unasked = others - {fault.alert, *fault.may}
    tally.unasked += len(unasked)
    end = "not resolved"
    if resolved is not None:
        tally.resolved += 1
        end = f"resolved after {max(resolved.at - mended_at, 0):5.1f} s"
    beside = f" and {', '.join(sorted(unasked))}" if unasked else ""
    began = f"  {fault.name:42} {fault.alert:26} fired after {fired - began_at:5.1f} s"
    console.print(f"{began}, {end}{beside}")


def _wait_fired(fault: Fault, service: House, watch: Watch, since: int) -> float | None:
    give_up_at = time.monotonic() + _FIRES_SECONDS
    while time.monotonic() < give_up_at:
        if fault.nudge is not None:
            fault.nudge(service)
        within = _NUDGE_SECONDS if fault.nudge is not None else _FIRES_SECONDS
        told = watch.sink.wait(fault.alert, firing=True, since=since, within_seconds=within)
        if told is not None:
            return told.at
    return None


def _look_at_dashboard(watch: Watch, console: Console) -> None:
    """Ask the real Prometheus what each panel asks.

    Raises:
        RuntimeError: it does not understand a query.
    """
    document = json.loads((_DEPLOY / "grafana" / "waybill.json").read_text(encoding="utf-8"))
    queries = [t["expr"] for panel in document["panels"] for t in panel["targets"]]
    answered = sum(bool(watch.query(query)) for query in queries)
    console.print(f"  dashboard: {len(queries)} queries understood, {answered} with figures")


def main() -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="operate", description=__doc__)
    parser.add_argument("--only", action="append", choices=[fault.alert for fault in FAULTS])
    arguments = parser.parse_args()
    configure_logging("CRITICAL")
    console = Console(stderr=True, highlight=False, width=160)
    chosen = tuple(f for f in FAULTS if arguments.only is None or f.alert in arguments.only)
    with orderly_exit(), tempfile.TemporaryDirectory(prefix="waybill-operate-") as directory:
        Path(directory).chmod(0o755)
        tally = operate(Path(directory), chosen, console)
    print(tally)
    return tally.exit_status


if __name__ == "__main__":
    sys.exit(main())
