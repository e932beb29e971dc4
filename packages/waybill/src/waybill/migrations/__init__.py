"""Alembic migrations, shipped with the package so that ``waybill migrate`` works installed."""
