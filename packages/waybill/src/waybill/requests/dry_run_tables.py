"""The table of dry runs: what each person's budget counts. Kept for a day."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Integer, Table, Text, func

from waybill.metadata import metadata

dry_runs = Table(
    "dry_runs",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    # No tenant is stored as "".
    Column("tenant", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("rows", Integer, nullable=False),
)

Index("ix_dry_runs_person", dry_runs.c.tenant, dry_runs.c.requested_by, dry_runs.c.started_at)
Index("ix_dry_runs_started_at", dry_runs.c.started_at)
