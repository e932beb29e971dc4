"""Catalogs by reference: a path to a TOML file, or ``package.module:attribute`` in Python."""

from __future__ import annotations

import difflib
import importlib
import re
from pathlib import Path

from waybill.catalog.model import Catalog
from waybill.catalog.toml import load_catalog
from waybill.errors import ConfigurationError

_REFERENCE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def load(reference: str | Path) -> Catalog:
    """Load a catalog from a ``.toml`` file or an import string (``"shop.exports:catalog"``).

    The attribute is a ``Catalog``, or a function without parameters that returns one.

    Raises:
        ConfigurationError: it cannot be found or is no catalog. An exception that the imported
            module raises itself passes through: its traceback is what helps.
    """
    text = str(reference)
    if isinstance(reference, Path) or text.endswith(".toml") or Path(text).is_file():
        return load_catalog(reference)
    if _REFERENCE.fullmatch(text):
        return _import_catalog(text)
    raise ConfigurationError(
        f"{text!r} is neither a catalog file (….toml) nor an import string "
        "(package.module:catalog)."
    )


def _import_catalog(reference: str) -> Catalog:
    module_name, _, attribute = reference.partition(":")
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        # Another module missing is a fault inside theirs, not a wrong reference.
        if exc.name is None or not f"{module_name}.".startswith(f"{exc.name}."):
            raise
        raise ConfigurationError(
            f"Catalog {reference!r}: there is no module {exc.name!r}. Install the package that "
            "holds it, or put its folder on PYTHONPATH."
        ) from exc
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as exc:
            near = difflib.get_close_matches(part, dir(found), n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(
                f"Catalog {reference!r}: {module_name!r} has no {part!r}.{guess}"
            ) from exc
    if callable(found) and not isinstance(found, (type, Catalog)):
        found = found()
    if not isinstance(found, Catalog):
        raise ConfigurationError(
            f"Catalog {reference!r} is {type(found).__name__!r}, not a waybill.catalog.Catalog. "
            "Point it at a Catalog, or at a function that returns one."
        )
    return found
