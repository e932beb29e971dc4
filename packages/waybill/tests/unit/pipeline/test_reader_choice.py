"""When an order of keys may be relied on, and what the log says where it may not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from waybill.pipeline import readers

from ...logged import logged


@pytest.mark.parametrize("is_reliable", [True, False])
def test_order_that_is_not_reliable_is_named_in_the_log(
    is_reliable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = logged(monkeypatch, readers)
    order = SimpleNamespace(is_reliable=is_reliable, reason=lambda: "de_DE (2.36 recorded)")
    snapshot: Any = SimpleNamespace(key_order=lambda _: order)
    plan: Any = SimpleNamespace(export_type=None)

    assert readers._is_order_reliable(plan, snapshot) is is_reliable

    said = [(line["event"], line["reason"]) for line in lines.entries]
    told = [("source.order_unreliable", "de_DE (2.36 recorded)")]
    assert said == ([] if is_reliable else told)
