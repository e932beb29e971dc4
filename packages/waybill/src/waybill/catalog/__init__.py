"""What can be exported: declared in ``waybill.toml`` or with the Python registry, never coded."""

from waybill.catalog.importing import load
from waybill.catalog.model import Catalog, Column, ExportType, QuerySource, TableSource
from waybill.catalog.problems import CatalogFileError, Problem
from waybill.catalog.toml import catalog_json_schema, load_catalog

__all__ = [
    "Catalog",
    "CatalogFileError",
    "Column",
    "ExportType",
    "Problem",
    "QuerySource",
    "TableSource",
    "catalog_json_schema",
    "load",
    "load_catalog",
]
