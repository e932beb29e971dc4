"""The museum's reports name tests that there are, and its page shows them all."""

from __future__ import annotations

import ast

import pytest

from .reports import GUIDE, TESTS, load, page

REPORTS = load()


def test_there_are_twenty_reports_and_each_is_there_once() -> None:
    assert len(REPORTS) >= 20
    assert len({each.source for each in REPORTS}) == len(REPORTS)


@pytest.mark.parametrize("test", sorted({test for each in REPORTS for test in each.tests}))
def test_what_replays_a_report_is_a_test_of_the_suite(test: str) -> None:
    path, _, name = test.partition("::")
    tree = ast.parse((TESTS / path).read_text("utf-8"))
    found = [node for node in ast.walk(tree) if getattr(node, "name", "") == name]
    assert [type(node) for node in found] in ([ast.FunctionDef], [ast.AsyncFunctionDef])


def test_page_shows_every_report() -> None:
    remedy = "run: python -m packages.waybill.tests.museum --page"
    assert GUIDE.read_text("utf-8") == page(REPORTS), remedy
