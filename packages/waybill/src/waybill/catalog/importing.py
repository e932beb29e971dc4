"""Catalogs by reference: a path to a TOML file, or ``package.module:attribute`` in Python."""

from __future__ import annotations

from pathlib import Path

from waybill.catalog.model import Catalog
from waybill.catalog.toml import load_catalog
from waybill.errors import ConfigurationError
from waybill.references import import_made, is_reference


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
    if is_reference(text):
        return import_made("Catalog", text, Catalog, "a waybill.catalog.Catalog")
    raise ConfigurationError(
        f"{text!r} is neither a catalog file (….toml) nor an import string "
        "(package.module:catalog)."
    )
