"""The tables of turns: who waits for a worker, and since when. Triggers and the claim keep them.

A tenant, and within it a person, has a row for each export type of which they have jobs.
``is_waiting``: there may be queued ones. ``turn_at``: when a worker last took a job of theirs, of
whichever type; who comes (back) to the queue counts as last served an hour ago. The queue is
served in this order. ``''`` is the tenant of those who have none.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Index, Table, Text, text

from waybill.metadata import metadata

_IS_WAITING = text("is_waiting")

tenant_turns = Table(
    "tenant_turns",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("export_type", Text, primary_key=True),
    Column("turn_at", DateTime(timezone=True), nullable=False),
    Column("is_waiting", Boolean, nullable=False),
)
Index(
    "ix_tenant_turns_waiting",
    tenant_turns.c.turn_at,
    tenant_turns.c.tenant,
    postgresql_where=_IS_WAITING,
)

person_turns = Table(
    "person_turns",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("requested_by", Text, primary_key=True),
    Column("export_type", Text, primary_key=True),
    Column("turn_at", DateTime(timezone=True), nullable=False),
    Column("is_waiting", Boolean, nullable=False),
)
Index(
    "ix_person_turns_waiting",
    person_turns.c.tenant,
    person_turns.c.turn_at,
    person_turns.c.requested_by,
    postgresql_where=_IS_WAITING,
)
