"""waybill: asynchronous user-data export, with a manifest that proves the file whole."""

__version__ = "0.2.0"
