"""Fixtures for tests on real services, for waybill's own tests and for applications that embed it.

Import what you need into a ``conftest.py``::

    from waybill.local.testing import empty_database, local_stack  # noqa: F401

A session has one stack (each worker of pytest-xdist is a session of its own). Tests share its
servers and get databases of their own, copied from a template in some tens of milliseconds.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator

import pytest

from waybill.local.stack import LocalStack


@pytest.fixture(scope="session")
def local_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The session's stack, in a directory that pytest removes."""
    with LocalStack(tmp_path_factory.mktemp("stack"), fast=True) as stack:
        yield stack


def make_template(stack: LocalStack, prepare: Callable[[str], None]) -> str:
    """Make a database to copy and return its name.

    Args:
        stack: a running stack.
        prepare: given the DSN of an empty database, fills it (migrations, rows). It must have
            closed its connections when it returns.
    """
    name = f"template_{secrets.token_hex(6)}"
    prepare(stack.postgres.create_database(name))
    stack.postgres.make_template(name)
    return name


@contextlib.contextmanager
def temporary_database(stack: LocalStack, template: str | None = None) -> Iterator[str]:
    """A database for one test: gives its DSN, and drops it at the end, open sessions or not.

    Args:
        stack: a running stack.
        template: what ``make_template`` returned; an empty database when ``None``.
    """
    name = f"test_{secrets.token_hex(6)}"
    dsn = stack.postgres.create_database(name, template)
    try:
        yield dsn
    finally:
        stack.postgres.drop_database(name)


@pytest.fixture
def empty_database(local_stack: LocalStack) -> Iterator[str]:
    """The DSN of an empty database of the test's own."""
    with temporary_database(local_stack) as dsn:
        yield dsn
