"""When an order of keys may be relied on, and what the log says where it may not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from waybill.pipeline import readers


@pytest.mark.parametrize("is_reliable", [True, False])
def test_order_that_is_not_reliable_is_named_in_the_log(
    is_reliable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One that nothing else in this process has bound to another configuration.
    monkeypatch.setattr(readers, "log", structlog.get_logger())
    order = SimpleNamespace(is_reliable=is_reliable, reason=lambda: "de_DE (2.36 recorded)")
    snapshot: Any = SimpleNamespace(key_order=lambda _: order)
    plan: Any = SimpleNamespace(export_type=None)

    with capture_logs() as lines:
        assert readers._is_order_reliable(plan, snapshot) is is_reliable

    said = [(line["event"], line["reason"]) for line in lines]
    told = [("source.order_unreliable", "de_DE (2.36 recorded)")]
    assert said == ([] if is_reliable else told)
