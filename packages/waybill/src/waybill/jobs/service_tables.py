"""Which service a database is of; one row, which the migrations write."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, Table, func, true
from sqlalchemy.dialects.postgresql import UUID

from waybill.metadata import metadata

service_identity = Table(
    "service_identity",
    metadata,
    Column("is_single", Boolean, primary_key=True, server_default=true()),
    Column("id", UUID(as_uuid=True), nullable=False, server_default=func.gen_random_uuid()),
    CheckConstraint("is_single", name="single"),
)
