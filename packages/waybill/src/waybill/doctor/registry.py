"""Every area the doctor looks at, in the order in which people read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from waybill.doctor import broker, mail, own_database, settings, source, storage, traces
from waybill.doctor.findings import Examination, Finding, Patient, examined

AREAS: Final[Mapping[str, Examination]] = {
    settings.AREA: settings.examine,
    own_database.AREA: own_database.examine,
    source.AREA: source.examine,
    source.CATALOG_AREA: source.examine_catalog,
    broker.AREA: broker.examine,
    storage.AREA: storage.examine,
    mail.AREA: mail.examine,
    traces.AREA: traces.examine,
}


def examine(patient: Patient, areas: Mapping[str, Examination] = AREAS) -> Iterator[Finding]:
    """Yield the findings of ``areas``, in their order; they are looked at all at once, as one that
    is away takes its time."""
    with ThreadPoolExecutor(max(len(areas), 1), thread_name_prefix="doctor") as pool:
        looking = [
            pool.submit(partial(_findings, name, look, patient)) for name, look in areas.items()
        ]
        for each in looking:
            yield from each.result()


def _findings(area: str, look: Examination, patient: Patient) -> list[Finding]:
    return list(examined(area, look, patient))
