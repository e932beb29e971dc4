"""Turns: who waits for a worker and since when, and the claim that gives each their turn.

``jobs/turns.py`` says what the tables hold. Triggers keep them, so that no writer of
``export_jobs`` can forget to; the claim is one statement for its caller, so that a worker that is
stopped in the middle of it cannot keep the lock that claims take turns by.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from waybill.migrations.indexes import build_index

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TIMESTAMP = sa.DateTime(timezone=True)

# Listing. Whoever is on the list already is left alone, without a lock: a tenant's requests do not
# wait for each other, nor for a claim. That a claim takes the entry off in that very moment is
# mended by the job's own message, which lists it again.
_LIST = """
CREATE FUNCTION export_turns_list(of_tenant text, of_person text, of_type text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    newcomer timestamptz := clock_timestamp() - interval '1 hour';
    is_listed boolean;
BEGIN
    SELECT is_waiting INTO is_listed FROM person_turns
    WHERE tenant = of_tenant AND requested_by = of_person AND export_type = of_type;
    IF is_listed IS NOT TRUE THEN
        INSERT INTO person_turns AS mine (tenant, requested_by, export_type, turn_at, is_waiting)
        VALUES (of_tenant, of_person, of_type, greatest(newcomer, (
            SELECT max(turn_at) FROM person_turns
            WHERE tenant = of_tenant AND requested_by = of_person
        )), true)
        ON CONFLICT (tenant, requested_by, export_type)
        DO UPDATE SET is_waiting = true, turn_at = greatest(mine.turn_at, newcomer);
    END IF;
    SELECT is_waiting INTO is_listed FROM tenant_turns
    WHERE tenant = of_tenant AND export_type = of_type;
    IF is_listed IS NOT TRUE THEN
        INSERT INTO tenant_turns AS mine (tenant, export_type, turn_at, is_waiting)
        VALUES (of_tenant, of_type, greatest(newcomer, (
            SELECT max(turn_at) FROM tenant_turns WHERE tenant = of_tenant
        )), true)
        ON CONFLICT (tenant, export_type)
        DO UPDATE SET is_waiting = true, turn_at = greatest(mine.turn_at, newcomer);
    END IF;
END
$$
"""

# Taking off. An entry that somebody else is changing stays: a look too many is no harm.
_UNLIST = """
CREATE FUNCTION export_turns_unlist(of_tenant text, of_person text, of_type text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM export_jobs
    WHERE status = 'queued' AND coalesce(tenant, '') = of_tenant
        AND requested_by = of_person AND export_type = of_type
    ORDER BY created_at, id LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    UPDATE person_turns SET is_waiting = false WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM person_turns
        WHERE tenant = of_tenant AND requested_by = of_person AND export_type = of_type
        FOR UPDATE SKIP LOCKED
    ));
    PERFORM FROM person_turns
    WHERE tenant = of_tenant AND export_type = of_type AND is_waiting
    ORDER BY turn_at LIMIT 1;
    IF NOT FOUND THEN
        UPDATE tenant_turns SET is_waiting = false WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM tenant_turns
            WHERE tenant = of_tenant AND export_type = of_type
            FOR UPDATE SKIP LOCKED
        ));
    END IF;
END
$$
"""

_KEEP = """
CREATE FUNCTION export_jobs_keep_turns() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'queued' THEN
        PERFORM export_turns_list(coalesce(NEW.tenant, ''), NEW.requested_by, NEW.export_type);
    ELSE
        PERFORM export_turns_unlist(coalesce(NEW.tenant, ''), NEW.requested_by, NEW.export_type);
    END IF;
    RETURN NULL;
END
$$
"""
_KEEP_ON_INSERT = """
CREATE TRIGGER export_jobs_keep_turns_on_insert AFTER INSERT ON export_jobs
FOR EACH ROW WHEN (NEW.status = 'queued') EXECUTE FUNCTION export_jobs_keep_turns()
"""
_KEEP_ON_UPDATE = """
CREATE TRIGGER export_jobs_keep_turns_on_update AFTER UPDATE OF status ON export_jobs
FOR EACH ROW
WHEN ((NEW.status = 'queued') IS DISTINCT FROM (OLD.status = 'queued'))
EXECUTE FUNCTION export_jobs_keep_turns()
"""

# Who is next in one tenant. Persons for whom nothing runs come first, in the order of their turns;
# then the others, those with the fewest running jobs first. The job is locked, and one that is
# being cancelled is passed over. ``running_…``: the tenant and person of each job that runs.
_IN_TENANT = """
CREATE FUNCTION fairest_export_of(
    of_tenant text, running_tenants text[], running_persons text[], full_types text[],
    per_person integer
) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    person text;
    busy text[] := ARRAY(
        SELECT DISTINCT running.person
        FROM unnest(running_tenants, running_persons) AS running(tenant, person)
        WHERE running.tenant = of_tenant
    );
    chosen uuid;
BEGIN
    FOR person IN
        SELECT requested_by FROM person_turns
        WHERE tenant = of_tenant AND is_waiting
            AND export_type <> ALL (full_types) AND requested_by <> ALL (busy)
        ORDER BY turn_at, requested_by
    LOOP
        chosen := oldest_export_of(of_tenant, person, full_types);
        IF chosen IS NOT NULL THEN
            RETURN chosen;
        END IF;
    END LOOP;
    FOR person IN
        SELECT running.person
        FROM (
            SELECT each.person, count(*) AS jobs
            FROM unnest(running_tenants, running_persons) AS each(tenant, person)
            WHERE each.tenant = of_tenant
            GROUP BY each.person
        ) AS running
        CROSS JOIN LATERAL (
            SELECT min(turn_at) FILTER (WHERE is_waiting AND export_type <> ALL (full_types))
                AS turn_at
            FROM person_turns AS turns
            WHERE turns.tenant = of_tenant AND turns.requested_by = running.person
        ) AS turn
        WHERE turn.turn_at IS NOT NULL AND (per_person IS NULL OR running.jobs < per_person)
        ORDER BY running.jobs, turn.turn_at, running.person
    LOOP
        chosen := oldest_export_of(of_tenant, person, full_types);
        IF chosen IS NOT NULL THEN
            RETURN chosen;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$
"""

# By when it was requested, not by when it fell due: a job that is tried again, or was given back
# by a worker that stopped, does not go behind those that its owner requested after it.
_OF_PERSON = """
CREATE FUNCTION oldest_export_of(
    of_tenant text, of_person text, full_types text[]
) RETURNS uuid
LANGUAGE sql AS $$
    SELECT job.id
    FROM person_turns AS turns
    CROSS JOIN LATERAL (
        SELECT id, created_at FROM export_jobs
        WHERE status = 'queued' AND coalesce(tenant, '') = of_tenant
            AND requested_by = of_person AND export_type = turns.export_type
            AND next_attempt_at <= clock_timestamp() AND attempt < max_attempts
        ORDER BY created_at, id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS job
    WHERE turns.tenant = of_tenant AND turns.requested_by = of_person
        AND turns.export_type <> ALL (full_types)
    ORDER BY job.created_at, job.id
    LIMIT 1
$$
"""

# Tenants, by the same rule as persons.
_FAIREST = """
CREATE FUNCTION fairest_export(
    per_tenant integer, per_person integer, per_type jsonb
) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    running_tenants text[];
    running_persons text[];
    running_types text[];
    full_types text[];
    candidate text;
    chosen uuid;
BEGIN
    SELECT coalesce(array_agg(coalesce(tenant, '')), '{}'), coalesce(array_agg(requested_by), '{}'),
        coalesce(array_agg(export_type), '{}')
    INTO running_tenants, running_persons, running_types
    FROM export_jobs WHERE status = 'running' AND NOT is_stream;
    full_types := ARRAY(
        SELECT running.type FROM unnest(running_types) AS running(type)
        WHERE per_type ? running.type
        GROUP BY running.type
        HAVING count(*) >= (per_type ->> running.type)::integer
    );
    FOR candidate IN
        SELECT tenant FROM tenant_turns
        WHERE is_waiting AND export_type <> ALL (full_types) AND tenant <> ALL (running_tenants)
        ORDER BY turn_at, tenant
    LOOP
        chosen := fairest_export_of(
            candidate, running_tenants, running_persons, full_types, per_person);
        IF chosen IS NOT NULL THEN
            RETURN chosen;
        END IF;
    END LOOP;
    FOR candidate IN
        SELECT running.tenant
        FROM (
            SELECT each.tenant, count(*) AS jobs FROM unnest(running_tenants) AS each(tenant)
            GROUP BY each.tenant
        ) AS running
        CROSS JOIN LATERAL (
            SELECT min(turn_at) FILTER (WHERE is_waiting AND export_type <> ALL (full_types))
                AS turn_at
            FROM tenant_turns AS turns
            WHERE turns.tenant = running.tenant
        ) AS turn
        WHERE turn.turn_at IS NOT NULL AND (per_tenant IS NULL OR running.jobs < per_tenant)
        ORDER BY running.jobs, turn.turn_at, running.tenant
    LOOP
        chosen := fairest_export_of(
            candidate, running_tenants, running_persons, full_types, per_person);
        IF chosen IS NOT NULL THEN
            RETURN chosen;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$
"""

# Claims take turns by the lock, so what is counted stays true until the commit, and limits hold
# across all workers. Nothing else in here waits for anybody.
_CLAIM = """
CREATE FUNCTION claim_fairest_export(
    notified uuid, token uuid, holder text, lease interval,
    per_tenant integer, per_person integer, per_type jsonb
) RETURNS SETOF export_jobs
LANGUAGE plpgsql AS $$
DECLARE
    announced export_jobs%ROWTYPE;
    chosen uuid;
    claimed export_jobs%ROWTYPE;
BEGIN
    PERFORM pg_advisory_xact_lock(x'7761796c636c6d'::bigint);
    -- By its id alone: with the status in the condition, a plan kept from when the queue was short
    -- walks the index of the queued.
    SELECT * INTO announced FROM export_jobs WHERE id = notified;
    IF announced.status = 'queued' THEN
        PERFORM export_turns_list(
            coalesce(announced.tenant, ''), announced.requested_by, announced.export_type);
    END IF;
    chosen := fairest_export(per_tenant, per_person, per_type);
    IF chosen IS NULL THEN
        RETURN;
    END IF;
    UPDATE export_jobs SET
        status = 'running', attempt = attempt + 1, lease_token = token,
        lease_expires_at = clock_timestamp() + lease, started_at = clock_timestamp(),
        next_attempt_at = NULL, updated_at = clock_timestamp(), is_stream = false,
        rows_done = 0, bytes_done = 0, rows_expected = NULL, rows_expected_exact = false,
        error_code = NULL, error_message = NULL, error_cause = NULL
    WHERE id = chosen
    RETURNING * INTO claimed;
    INSERT INTO export_attempts (lease_token, export_id, attempt, worker)
    VALUES (token, claimed.id, claimed.attempt, holder);
    UPDATE tenant_turns SET turn_at = clock_timestamp() WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM tenant_turns
        WHERE tenant = coalesce(claimed.tenant, '') FOR UPDATE SKIP LOCKED
    ));
    UPDATE person_turns SET turn_at = clock_timestamp() WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM person_turns
        WHERE tenant = coalesce(claimed.tenant, '') AND requested_by = claimed.requested_by
        FOR UPDATE SKIP LOCKED
    ));
    RETURN NEXT claimed;
END
$$
"""

# PostgreSQL keeps plans that it made while the tables were small, when any index was as good as
# another. So each statement above is written so that one index alone gives what it asks, in its
# order, and may not sort or read a whole table. What a function calls inherits this from it.
_BY_INDEX = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "jit": "off",
}

_FUNCTIONS = (
    ("export_turns_list(text, text, text)", _LIST),
    ("export_turns_unlist(text, text, text)", _UNLIST),
    ("export_jobs_keep_turns()", _KEEP),
    ("oldest_export_of(text, text, text[])", _OF_PERSON),
    ("fairest_export_of(text, text[], text[], text[], integer)", _IN_TENANT),
    ("fairest_export(integer, integer, jsonb)", _FAIREST),
    (
        "claim_fairest_export(uuid, uuid, text, interval, integer, integer, jsonb)",
        _CLAIM,
    ),
)


def upgrade() -> None:
    build_index(
        "ix_export_jobs_turns",
        "export_jobs",
        [
            sa.text("(coalesce(tenant, ''))"),
            "requested_by",
            "export_type",
            "created_at",
            "id",
        ],
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.add_column(
        "export_jobs",
        sa.Column("is_stream", sa.Boolean, nullable=False, server_default=sa.text("false")),
    )
    op.create_table(
        "tenant_turns",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("export_type", sa.Text, primary_key=True),
        sa.Column("turn_at", _TIMESTAMP, nullable=False),
        sa.Column("is_waiting", sa.Boolean, nullable=False),
    )
    op.create_index(
        "ix_tenant_turns_waiting",
        "tenant_turns",
        ["turn_at", "tenant"],
        postgresql_where=sa.text("is_waiting"),
    )
    op.create_table(
        "person_turns",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("requested_by", sa.Text, primary_key=True),
        sa.Column("export_type", sa.Text, primary_key=True),
        sa.Column("turn_at", _TIMESTAMP, nullable=False),
        sa.Column("is_waiting", sa.Boolean, nullable=False),
    )
    op.create_index(
        "ix_person_turns_waiting",
        "person_turns",
        ["tenant", "turn_at", "requested_by"],
        postgresql_where=sa.text("is_waiting"),
    )
    for signature, statement in _FUNCTIONS:
        op.execute(statement)
        for setting, value in _BY_INDEX.items():
            op.execute(f"ALTER FUNCTION {signature} SET {setting} = {value}")
    op.execute(_KEEP_ON_INSERT)
    op.execute(_KEEP_ON_UPDATE)
    op.execute(
        "SELECT export_turns_list(tenant, requested_by, export_type) FROM ("
        " SELECT DISTINCT coalesce(tenant, '') AS tenant, requested_by, export_type"
        " FROM export_jobs WHERE status = 'queued') AS waiting"
    )


def downgrade() -> None:
    for name in ("insert", "update"):
        op.execute(f"DROP TRIGGER export_jobs_keep_turns_on_{name} ON export_jobs")
    for signature, _ in reversed(_FUNCTIONS):
        op.execute(f"DROP FUNCTION {signature}")
    op.drop_table("person_turns")
    op.drop_table("tenant_turns")
    op.drop_index("ix_export_jobs_turns", "export_jobs")
    op.drop_column("export_jobs", "is_stream")
