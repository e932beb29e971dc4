"""Whether every format can have what a catalog declares."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from waybill.catalog import Catalog, Column, ExportType, QuerySource, TableSource
from waybill.catalog.findings import Finding
from waybill.requests.check_formats import check_everything

Execute = Callable[..., None]

THINGS = TableSource("public", "things")


def _found(dsn: str, *types: ExportType) -> list[Finding]:
    return [f for f in check_everything(Catalog(types), dsn) if f.code not in {"no_rows", "no_key"}]


@pytest.mark.parametrize(
    "export_type",
    [
        ExportType("things", THINGS),
        ExportType("things", THINGS, columns=(Column("@timestamp"),)),
        ExportType("things", THINGS, columns=(Column("id", label="\t=1+1"),)),
        ExportType("things", QuerySource('SELECT "@timestamp" FROM public.things')),
    ],
)
def test_header_like_a_formula_is_an_error(
    dsn: str, execute: Execute, export_type: ExportType
) -> None:
    execute('CREATE TABLE things (id int, "@timestamp" timestamptz)')

    (finding,) = [each for each in _found(dsn, export_type) if each.severity == "error"]

    assert finding.code == "format_refuses"
    assert finding.message.startswith("csv and xlsx: the header of column")
    assert "label" in finding.remedy


def test_header_longer_than_a_cell_is_an_error_of_xlsx(dsn: str, execute: Execute) -> None:
    execute("CREATE TABLE things (id int)")

    fits = ExportType("fits", THINGS, columns=(Column("id", label="x" * 32_767),))
    longer = ExportType("longer", THINGS, columns=(Column("id", label="x" * 32_768),))
    (finding,) = _found(dsn, fits, longer)

    assert (finding.export_type, finding.code) == ("longer", "format_refuses")
    assert finding.message.startswith("xlsx: ")


def test_labels_that_readers_mix_up_are_warned_of(dsn: str, execute: Execute) -> None:
    execute('CREATE TABLE things (id int, "ID" int, "a\nb" int)')

    findings = _found(dsn, ExportType("things", THINGS))

    assert [(f.severity, f.code) for f in findings] == [
        ("warning", "labels_alike"), ("warning", "label_unprintable"),
    ]  # fmt: skip
    assert "'id' and 'ID'" in findings[0].message


def test_type_that_cannot_be_read_is_told_once(dsn: str) -> None:
    (finding,) = _found(dsn, ExportType("things", THINGS))

    assert finding.code == "table_missing"
