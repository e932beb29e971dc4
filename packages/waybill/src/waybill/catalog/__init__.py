"""What can be exported: declared in ``waybill.toml`` or with the Python registry, never coded."""

from waybill.catalog.computed import Computed
from waybill.catalog.filters import Condition, Filter
from waybill.catalog.importing import load
from waybill.catalog.model import Catalog, Column, ExportType, QuerySource, TableSource
from waybill.catalog.orm import Export
from waybill.catalog.problems import CatalogFileError, Problem
from waybill.catalog.scope import RowScope
from waybill.catalog.selection import Selection
from waybill.catalog.sources import NamedSource
from waybill.catalog.toml import catalog_json_schema, load_catalog

__all__ = [
    "Catalog",
    "CatalogFileError",
    "Column",
    "Computed",
    "Condition",
    "Export",
    "ExportType",
    "Filter",
    "NamedSource",
    "Problem",
    "QuerySource",
    "RowScope",
    "Selection",
    "TableSource",
    "catalog_json_schema",
    "load",
    "load_catalog",
]
