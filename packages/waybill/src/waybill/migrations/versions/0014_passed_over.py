"""Turns: a claim that finds only jobs whose rows are being changed says so, and who leaves the list
does so under the lock of claims.

A claim passes over locked rows, and every message is answered once: of two jobs the first message
took the second, whose own message found the first still locked, and nobody was told of that again.
And a cancellation that had taken somebody off the list, and was not committed yet when their next
message came, took that job off too.
"""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# As before; but where nothing is free, it notes for the claim whether something would be, and takes
# off the list whose jobs were cancelled.
_OF_PERSON = """
CREATE OR REPLACE FUNCTION oldest_export_of(
    of_tenant text, of_person text, full_types text[]
) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    chosen uuid;
BEGIN
    SELECT job.id INTO chosen
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
    LIMIT 1;
    IF chosen IS NULL THEN
        PERFORM FROM person_turns AS turns
        CROSS JOIN LATERAL (
            SELECT id FROM export_jobs
            WHERE status = 'queued' AND coalesce(tenant, '') = of_tenant
                AND requested_by = of_person AND export_type = turns.export_type
                AND next_attempt_at <= clock_timestamp() AND attempt < max_attempts
            ORDER BY created_at, id
            LIMIT 1
        ) AS job
        WHERE turns.tenant = of_tenant AND turns.requested_by = of_person
            AND turns.export_type <> ALL (full_types)
        LIMIT 1;
        IF FOUND THEN
            PERFORM set_config('waybill.passed_over', 'yes', true);
        ELSIF current_setting('waybill.passed_over', true) <> '' THEN
            -- A claim, which holds the lock: the next one need not look here again.
            PERFORM export_turns_unlist(of_tenant, of_person, export_type)
            FROM person_turns
            WHERE tenant = of_tenant AND requested_by = of_person AND is_waiting;
        END IF;
    END IF;
    RETURN chosen;
END
$$
"""

# As before; a row of nulls says that there is a job, and that it cannot be had at this moment.
_CLAIM = """
CREATE OR REPLACE FUNCTION claim_fairest_export(
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
    -- By its id alone, as migration 0012 says.
    SELECT * INTO announced FROM export_jobs WHERE id = notified;
    IF announced.status = 'queued' THEN
        PERFORM export_turns_list(
            coalesce(announced.tenant, ''), announced.requested_by, announced.export_type);
    END IF;
    PERFORM set_config('waybill.passed_over', 'no', true);
    chosen := fairest_export(per_tenant, per_person, per_type);
    IF chosen IS NULL THEN
        IF current_setting('waybill.passed_over') = 'yes' THEN
            RETURN NEXT claimed;
        END IF;
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

# Nobody is taken off the list but by a claim and by the tidying below, both under the lock. Then a
# message that comes after either finds the list as it left it, and puts its job back.
_KEEP = """
CREATE OR REPLACE FUNCTION export_jobs_keep_turns() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'queued' THEN
        PERFORM export_turns_list(coalesce(NEW.tenant, ''), NEW.requested_by, NEW.export_type);
    ELSIF NEW.status = 'running' THEN
        PERFORM export_turns_unlist(coalesce(NEW.tenant, ''), NEW.requested_by, NEW.export_type);
    END IF;
    RETURN NULL;
END
$$
"""

# Who is to leave is looked for before the lock, and looked at again under it.
_TIDY = """
CREATE FUNCTION tidy_export_turns(remembered interval, most integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    gone person_turns[] := ARRAY(
        SELECT turns FROM person_turns AS turns
        WHERE is_waiting AND NOT EXISTS (
            SELECT FROM export_jobs AS job
            WHERE job.status = 'queued' AND coalesce(job.tenant, '') = turns.tenant
                AND job.requested_by = turns.requested_by AND job.export_type = turns.export_type
        )
        LIMIT most
    );
    each person_turns;
BEGIN
    PERFORM pg_advisory_xact_lock(x'7761796c636c6d'::bigint);
    FOREACH each IN ARRAY gone LOOP
        PERFORM export_turns_unlist(each.tenant, each.requested_by, each.export_type);
    END LOOP;
    UPDATE tenant_turns SET is_waiting = false WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM tenant_turns AS turns
        WHERE is_waiting AND NOT EXISTS (
            SELECT FROM person_turns AS person
            WHERE person.tenant = turns.tenant AND person.export_type = turns.export_type
                AND person.is_waiting
        )
        LIMIT most FOR UPDATE SKIP LOCKED
    ));
    DELETE FROM person_turns WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM person_turns
        WHERE NOT is_waiting AND turn_at < clock_timestamp() - remembered
        LIMIT most FOR UPDATE SKIP LOCKED
    ));
    DELETE FROM tenant_turns WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM tenant_turns
        WHERE NOT is_waiting AND turn_at < clock_timestamp() - remembered
        LIMIT most FOR UPDATE SKIP LOCKED
    ));
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

_REPLACED = (
    ("oldest_export_of(text, text, text[])", _OF_PERSON),
    ("export_jobs_keep_turns()", _KEEP),
    (
        "claim_fairest_export(uuid, uuid, text, interval, integer, integer, jsonb)",
        _CLAIM,
    ),
)


def upgrade() -> None:
    for signature, statement in _REPLACED:
        op.execute(statement)
        for setting, value in _BY_INDEX.items():
            op.execute(f"ALTER FUNCTION {signature} SET {setting} = {value}")
    op.execute(_TIDY)


def downgrade() -> None:
    # What stands in place of the former functions answers their callers as well.
    op.execute("DROP FUNCTION tidy_export_turns(interval, integer)")
