"""Limits of what reads one source at a time, over all its types; and a job that waits for such a
place says so.

The functions have one argument more. Under their former signatures they answer the version before,
which knows no such limits.
"""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# ``per_source``: [{"types": […], "most": n}, …], one entry for each source that has a limit.
# Streams count, which read as jobs do.
_FULL = """
CREATE FUNCTION export_types_of_full_sources(per_source jsonb) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    reading text[];
BEGIN
    IF per_source = '[]' THEN
        RETURN '{}';
    END IF;
    SELECT coalesce(array_agg(export_type), '{}') INTO reading
    FROM export_jobs WHERE status = 'running';
    RETURN ARRAY(
        SELECT jsonb_array_elements_text(source.said -> 'types')
        FROM jsonb_array_elements(per_source) AS source(said)
        WHERE (
            SELECT count(*) FROM unnest(reading) AS running(type)
            WHERE source.said -> 'types' ? running.type
        ) >= (source.said ->> 'most')::integer
    );
END
$$
"""

# As migration 0012 has it, but for the types of full sources.
_FAIREST = """
CREATE FUNCTION fairest_export(
    per_tenant integer, per_person integer, per_type jsonb, per_source jsonb
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
    ) || export_types_of_full_sources(per_source);
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

# As migration 0014 has it, but for the sources; and the job that the message names is told why it
# waits, if that is for its source. Every job that is due has a message of its own, so each is. A
# row that somebody is changing is left alone: nothing in here waits for anybody.
_CLAIM = """
CREATE FUNCTION claim_fairest_export(
    notified uuid, token uuid, holder text, lease interval,
    per_tenant integer, per_person integer, per_type jsonb, per_source jsonb,
    waiting_code text, waiting_message text
) RETURNS SETOF export_jobs
LANGUAGE plpgsql AS $$
DECLARE
    announced export_jobs%ROWTYPE;
    chosen uuid;
    claimed export_jobs%ROWTYPE;
BEGIN
    PERFORM pg_advisory_xact_lock(x'7761796c636c6d'::bigint);
    -- By its id alone, as migration 0012 says.
    SELECT * INTO announced FROM export_jobs WHERE id = notified;
    IF announced.status = 'queued' THEN
        PERFORM export_turns_list(
            coalesce(announced.tenant, ''), announced.requested_by, announced.export_type);
    END IF;
    PERFORM set_config('waybill.passed_over', 'no', true);
    chosen := fairest_export(per_tenant, per_person, per_type, per_source);
    IF chosen IS NULL THEN
        IF current_setting('waybill.passed_over') = 'yes' THEN
            RETURN NEXT claimed;
        END IF;
    ELSE
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
    END IF;
    IF announced.status = 'queued' AND announced.id IS DISTINCT FROM chosen
        AND announced.next_attempt_at <= clock_timestamp()
        AND announced.error_code IS DISTINCT FROM waiting_code
        AND announced.export_type = ANY (export_types_of_full_sources(per_source))
    THEN
        PERFORM FROM export_jobs WHERE id = notified AND status = 'queued' FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            UPDATE export_jobs SET error_code = waiting_code, error_message = waiting_message,
                error_cause = NULL, updated_at = clock_timestamp()
            WHERE id = notified;
        END IF;
    END IF;
END
$$
"""

_FORMER_FAIREST = """
CREATE OR REPLACE FUNCTION fairest_export(
    per_tenant integer, per_person integer, per_type jsonb
) RETURNS uuid
LANGUAGE plpgsql AS $$
BEGIN
    RETURN fairest_export(per_tenant, per_person, per_type, '[]'::jsonb);
END
$$
"""
_FORMER_CLAIM = """
CREATE OR REPLACE FUNCTION claim_fairest_export(
    notified uuid, token uuid, holder text, lease interval,
    per_tenant integer, per_person integer, per_type jsonb
) RETURNS SETOF export_jobs
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT * FROM claim_fairest_export(
        notified, token, holder, lease, per_tenant, per_person, per_type, '[]'::jsonb, NULL, NULL);
END
$$
"""

# As migration 0012 has it, and why.
_BY_INDEX = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "jit": "off",
}

_FUNCTIONS = (
    ("export_types_of_full_sources(jsonb)", _FULL),
    ("fairest_export(integer, integer, jsonb, jsonb)", _FAIREST),
    (
        "claim_fairest_export("
        "uuid, uuid, text, interval, integer, integer, jsonb, jsonb, text, text)",
        _CLAIM,
    ),
    ("fairest_export(integer, integer, jsonb)", _FORMER_FAIREST),
    (
        "claim_fairest_export(uuid, uuid, text, interval, integer, integer, jsonb)",
        _FORMER_CLAIM,
    ),
)


def upgrade() -> None:
    for signature, statement in _FUNCTIONS:
        op.execute(statement)
        for setting, value in _BY_INDEX.items():
            op.execute(f"ALTER FUNCTION {signature} SET {setting} = {value}")


def downgrade() -> None:
    # What has the former signatures answers the version before, and calls what is made here.
    pass
