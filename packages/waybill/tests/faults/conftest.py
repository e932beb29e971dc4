"""Fault tests break what they use, so they have a stack and processes of their own."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from waybill.local.faults.rehearsal import Rehearsal
from waybill.local.process import SupervisedProcess
from waybill.local.stack import LocalStack

# About 21 MB as CSV: three parts of an upload.
USERS = 60_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.faults)


@pytest.fixture(scope="session")
def fault_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("faults"), fast=True) as stack:
        yield stack


@pytest.fixture
def house(fault_stack: LocalStack) -> Iterator[Rehearsal]:
    """A running service behind proxies; the invariants are checked when the test is over."""
    with Rehearsal(fault_stack, users=USERS) as rehearsal:
        yield rehearsal
        rehearsal.assert_invariants()


def children_of(process: SupervisedProcess) -> list[psutil.Process]:
    """The forked children of a worker, which run the exports."""
    return psutil.Process(process.pid).children(recursive=True)
