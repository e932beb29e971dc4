"""What can be exported: declared in ``waybill.toml`` or with the Python registry, never coded."""

from waybill.catalog.model import Catalog, Column, ExportType, QuerySource, TableSource

__all__ = ["Catalog", "Column", "ExportType", "QuerySource", "TableSource"]
