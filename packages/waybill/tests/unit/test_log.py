"""What a log says of exceptions: where, and of what kind, but none of what was being handled."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from celery.app.trace import TraceInfo
from sqlalchemy.exc import IntegrityError

from waybill.errors import InvalidOption, SourceUnavailable
from waybill.log import configure_logging, described, get_logger

VALUE = "grace@example.org"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root, ours, hook = logging.getLogger(), logging.getLogger("waybill"), threading.excepthook
    state = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:] = state[0]
    root.setLevel(state[1])
    ours.setLevel(state[2])
    threading.excepthook = hook


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """What was logged since the log was set up."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure_logging("DEBUG", human=False)
    return lambda: [json.loads(line) for line in written.getvalue().splitlines()]


def _refused() -> None:
    try:
        raise psycopg.errors.CheckViolation(f"Failing row contains ({VALUE})")
    except psycopg.Error as exc:
        raise IntegrityError("INSERT", {"email": VALUE}, exc) from exc


def _raised(error: Callable[[], Any]) -> BaseException:
    try:
        error()
    except BaseException as exc:
        return exc
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (lambda: int(VALUE), "ValueError"),
        (lambda: {}[VALUE], "KeyError"),
        (lambda: json.loads(VALUE), "json.decoder.JSONDecodeError"),
        (_refused, "sqlalchemy.exc.IntegrityError"),
        (lambda: open(f"/nowhere/{VALUE}"), "FileNotFoundError: No such file or directory"),  # noqa: PTH123, SIM115
        (lambda: logging.nothing, "AttributeError: module 'logging' has no attribute 'nothing'"),
    ],
)
def test_exception_is_described_without_what_was_handled(
    error: Callable[[], Any], said: str
) -> None:
    assert described(_raised(error)) == said


def test_our_own_errors_say_what_they_are_unless_a_request_is_their_subject() -> None:
    found = described(SourceUnavailable("The source is away."))
    assert found == "waybill.errors.SourceUnavailable: The source is away."
    assert (
        described(InvalidOption("since", VALUE)) == "waybill.errors.InvalidOption: invalid_option"
    )


def test_traceback_says_where_and_the_database_code_and_nothing_of_the_row(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    try:
        _refused()
    except IntegrityError:
        get_logger("waybill.x").exception("something.failed")
    (line,) = lines()
    assert VALUE not in json.dumps(line)
    assert "psycopg.errors.CheckViolation: 23514" in line["exception"]
    assert "in _refused" in line["exception"]


@pytest.mark.parametrize("raised", [_refused, lambda: int(VALUE)])
def test_what_a_library_says_of_an_exception_is_taken_out_of_its_message(
    lines: Callable[[], list[dict[str, Any]]], raised: Callable[[], Any]
) -> None:
    library = logging.getLogger("some.library")
    error = _raised(raised)
    library.error("lost: %s", error)
    library.error("lost: %s", str(error), exc_info=error)
    library.error(f"lost: {error!r}", exc_info=error)
    group = ExceptionGroup(VALUE, [ValueError(VALUE)])
    library.error("lost %(what)s", {"what": group}, exc_info=group)
    found = lines()
    assert len(found) == 4
    assert VALUE not in json.dumps(found)
    assert all(type(error).__name__ in line["event"] for line in found[:3])


def test_what_celery_says_of_a_task_that_failed_holds_no_text(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    from types import SimpleNamespace

    from billiard.einfo import ExceptionInfo

    request = SimpleNamespace(
        id="7", hostname="here", args=(VALUE,), kwargs={}, argsrepr=f"({VALUE!r},)", kwargsrepr="{}"
    )
    task = SimpleNamespace(name="export.run", request=request, throws=())
    try:
        _refused()
    except IntegrityError as exc:
        info = TraceInfo("FAILURE", exc)
        info._log_error(
            task, SimpleNamespace(**vars(request), get=vars(request).get), ExceptionInfo()
        )
    # A long text is cut, so that it is not found as it stands.
    cut = {"name": "export.run", "exc": f"{_raised(_refused)!r}"[:-3]}
    assert VALUE in cut["exc"]
    logging.getLogger("celery.app.trace").error(
        "Task %(name)s raised: %(exc)s", cut, exc_info=_raised(_refused)
    )
    found = lines()
    assert ["export.run" in line["event"] for line in found] == [True, True]
    assert VALUE not in json.dumps(found)


def test_libraries_say_nothing_at_debug_and_we_do(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    logging.getLogger("some.library").debug("sent %s", VALUE)
    get_logger("waybill.x").debug("something.happened")
    assert [line["event"] for line in lines()] == ["something.happened"]


def test_exception_that_ends_a_thread_is_logged_without_its_text(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    thread = threading.Thread(target=lambda: int(VALUE))
    thread.start()
    thread.join()
    (line,) = lines()
    assert line["event"] == "thread.died"
    assert VALUE not in json.dumps(line)
