"""Logs are events: ``log.info("export.finished", export_id=…, rows=…)``, one JSON object a line.

Personal data and secrets do not belong in an event. Three nets below that rule: the keys in
``_SECRET_KEYS`` are blanked; tracebacks carry no local variables, and no texts but our own (a
database's error quotes the row it refused, a parser's the text); and libraries say nothing below
INFO, where we cannot know what they say.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

import structlog

from waybill.errors import ConfigurationError, RunError, WaybillError

_SECRET_KEYS = frozenset(
    {"token", "password", "secret", "authorization", "dsn", "database_url", "redis_url", "email"}
)


def _blank_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key in event.keys() & _SECRET_KEYS:
        event[key] = "[redacted]"
    return event


def described(error: BaseException) -> str:
    """Return what a log may say of an exception: its type, and of its text what cannot quote data.

    Ours say what they are in words of our own, unless a caller's request is their subject. What
    Python says of names and files, and a database's code, help to find a defect; everything else
    may hold what was being handled.
    """
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else _full_name(kind)
    match error:
        case RunError() | ConfigurationError() | AttributeError() | NameError() | ImportError():
            said = str(error)
        case WaybillError():
            said = error.code
        case OSError():
            said = error.strerror or ""
        case _:
            said = str(getattr(error, "sqlstate", None) or "")
    return f"{name}: {said}" if said else name


def _full_name(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _related(error: BaseException) -> BaseException | None:
    """Return the exception that comes before this one in a traceback."""
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__
    return error.__context__


def _all_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that belong to it, each once."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [related for related in (each.__cause__, each.__context__) if related]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions


def _format(error: BaseException, depth: int = 0) -> str:
    """Return a traceback as Python prints it, but for the exceptions' texts."""
    lines = []
    before = _related(error)
    if before is not None and depth < _DEEPEST:
        lines += [_format(before, depth + 1), "", "The exception below came of it:", ""]
    lines.append("Traceback (most recent call last):")
    lines += [line.rstrip("\n") for line in traceback.format_tb(error.__traceback__)]
    lines.append(described(error))
    if isinstance(error, BaseExceptionGroup) and depth < _DEEPEST:
        for each in error.exceptions:
            lines += ["", "One of the group:", "", _format(each, depth + 1)]
    return "\n".join(lines)


def _format_exception(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Put the traceback in, and take the exception's text out of what a library made of it."""
    given = event.pop("exc_info", None)
    error = _exception_of(given)
    if error is None:
        return event
    event["exception"] = _format(error)
    said = event.get("event")
    if isinstance(said, str):
        for each in _all_of(error):
            for text in {str(each), repr(each)} - {""}:
                said = said.replace(text, described(each))
        event["event"] = said
    return event


def _exception_of(given: Any) -> BaseException | None:
    if given is True or isinstance(given, tuple):
        found = (sys.exc_info() if given is True else given)[1]
        return found if isinstance(found, BaseException) else None
    return given if isinstance(given, BaseException) else None


def _describe_arguments(record: logging.LogRecord) -> bool:
    """Have a library's message say of exceptions among its arguments what may be said."""
    arguments = record.args
    if isinstance(arguments, Mapping):
        record.args = {
            name: _CELERY_TEXTS.get(name, value) if record.exc_info else _said(value)
            for name, value in arguments.items()
        }
    elif arguments:
        record.args = tuple(map(_said, arguments))
    return True


def _said(value: Any) -> Any:
    return described(value) if isinstance(value, BaseException) else value


_DEEPEST: Final = 10
_CELERY_TEXTS: Final = {"exc": "see the exception", "traceback": "", "args": "", "kwargs": ""}
"""What Celery says of a task that failed holds the exception's text under names of its own."""


def configure_logging(level: str = "INFO", *, human: bool | None = None) -> None:
    """Send structured events to standard error; readable on a terminal, JSON elsewhere."""
    readable = sys.stderr.isatty() if human is None else human
    renderer: Any = (
        structlog.dev.ConsoleRenderer()
        if readable
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _blank_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _format_exception,
                renderer,
            ],
        )
    )
    handler.addFilter(_describe_arguments)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    wanted = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(wanted, logging.INFO))
    logging.getLogger("waybill").setLevel(wanted)
    threading.excepthook = _log_of_thread
    # Their INFO is a line per request or per message; ours says the same with the job's id.
    for chatty in (
        "botocore",
        "celery.app.trace",
        "celery.beat",
        "celery.worker.strategy",
        "httpcore",
        "httpx",
        "urllib3",
        "uvicorn.access",
    ):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _log_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        get_logger(__name__).error("thread.died", exc_info=args.exc_value)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger for ``name`` (a module's ``__name__``)."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
