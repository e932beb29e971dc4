"""What decides whether an upload belongs to the export that is to be gone on with."""

from __future__ import annotations

import dataclasses

from waybill.catalog.computed import Computed
from waybill.catalog.key_order import KeyOrder, OrderTrust
from waybill.catalog.model import ExportType, TableSource
from waybill.catalog.resolved import ResolvedColumn, computed_column
from waybill.formats import get_encoder, read_options
from waybill.formats.plan import ExportPlan
from waybill.run.resumption import _fingerprint


def test_same_statement_for_another_source_is_another_export() -> None:
    kind = ExportType("events", TableSource("public", "events"), key=("id",))
    columns = (ResolvedColumn("id", "id", "integer", 23, 23),)
    plan = ExportPlan(kind, columns, get_encoder("csv"), read_options("csv", {}))
    # Two databases of one server: the table has one OID in both, if one is a copy.
    order = KeyOrder(OrderTrust.FIXED, (), "the same")
    moved = dataclasses.replace(kind, source_name="reporting")
    one = _fingerprint(plan, order, ("C",))
    assert one == _fingerprint(dataclasses.replace(plan), order, ("C",))
    assert one != _fingerprint(dataclasses.replace(plan, export_type=moved), order, ("C",))
    # The rest of it would be printed otherwise.
    assert one != _fingerprint(plan, order, ("de_DE.utf8",))


def test_another_function_makes_another_export() -> None:
    kind = ExportType("events", TableSource("public", "events"), key=("id",))
    read = ResolvedColumn("id", "id", "integer", 23, 23)
    order = KeyOrder(OrderTrust.FIXED, (), "the same")

    def digest(*functions: str) -> str:
        columns = (
            computed_column(f"c{n}", f"c{n}", Computed(each, ("id",)), (read,))
            for n, each in enumerate(functions)
        )
        plan = ExportPlan(kind, (read, *columns), get_encoder("csv"), read_options("csv", {}))
        return _fingerprint(plan, order, ("C",))

    assert digest("shop:a", "shop:b") == digest("shop:a", "shop:b")
    assert len({digest("shop:a", "shop:b"), digest("shop:b", "shop:a"), digest("shop:a")}) == 3
