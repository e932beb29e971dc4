"""Objects by reference: ``package.module:attribute``, as settings name what lies in Python."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from typing import Any, TypeVar

from waybill.errors import ConfigurationError

_REFERENCE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")

T = TypeVar("T")


def takes_one(found: object) -> bool:
    """Return whether ``found`` is a function, or acts as one, of one argument."""
    if not callable(found) or isinstance(found, type):
        return False
    try:
        inspect.signature(found).bind(None)
    except TypeError:
        return False
    except ValueError:  # of something that is not written in Python
        return True
    return True


def is_reference(text: str) -> bool:
    """Return whether ``text`` could name an object."""
    return _REFERENCE.fullmatch(text) is not None


def import_object(what: str, reference: str) -> object:
    """Return the object that ``reference`` names; ``what`` says what it is for ("Catalog").

    Raises:
        ConfigurationError: there is none. An exception that the imported module raises itself
            passes through: its traceback is what helps.
    """
    if not is_reference(reference):
        raise ConfigurationError(
            f"{what} {reference!r} is no import string (package.module:attribute)."
        )
    module_name, _, attribute = reference.partition(":")
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        # Another module missing is a fault inside theirs, not a wrong reference.
        if exc.name is None or not f"{module_name}.".startswith(f"{exc.name}."):
            raise
        raise ConfigurationError(
            f"{what} {reference!r}: there is no module {exc.name!r}. Install the package that "
            "holds it, or put its folder on PYTHONPATH."
        ) from exc
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as exc:
            near = difflib.get_close_matches(part, dir(found), n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(
                f"{what} {reference!r}: {module_name!r} has no {part!r}.{guess}"
            ) from exc
    return found


def import_function(what: str, given: object, *, takes: str, point_at: str) -> Any:
    """Return the function of one argument that ``given`` is or names; ``None`` for ``None``.

    Args:
        what: the setting, as errors begin.
        given: a reference, a function, or ``None``.
        takes: what it is called with ("an event").
        point_at: what to name instead ("a function that takes one waybill.AuditEvent").

    Raises:
        ConfigurationError: it names nothing, or what cannot be called so.
    """
    if given is None:
        return None
    found = import_object(what, given) if isinstance(given, str) else given
    if not takes_one(found):
        raise ConfigurationError(
            f"{what} {given!r} cannot be called with {takes}. Point it at {point_at}."
        )
    return found


def import_made(what: str, reference: str, kind: type[T], spelt: str) -> T:
    """Return the ``kind`` that ``reference`` names, or that the function it names returns.

    Args:
        what: what it is for, as errors begin ("Catalog").
        reference: ``package.module:attribute``.
        kind: what is wanted.
        spelt: what to call that in errors (``a waybill.catalog.Catalog``).

    Raises:
        ConfigurationError: it names nothing, or something else.
    """
    found = import_object(what, reference)
    if callable(found) and not isinstance(found, (type, kind)):
        found = found()
    if not isinstance(found, kind):
        raise ConfigurationError(
            f"{what} {reference!r} is {type(found).__name__!r}, not {spelt}. Point it at one, or "
            "at a function that returns one."
        )
    return found
