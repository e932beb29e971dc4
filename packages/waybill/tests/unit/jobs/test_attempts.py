"""Causes, explanations, backoff and object keys: pure logic."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill import errors
from waybill.jobs.attempts import AttemptFailure, Cause, RetryPolicy, cause_of
from waybill.jobs.explanations import EXPLANATIONS, explain
from waybill.jobs.job import Lease
from waybill.manifest import manifest_key
from waybill.results.object_keys import object_key, owner_of
from waybill.run.identity import WorkerIdentity


def _subclasses(root: type[Exception]) -> set[type[Exception]]:
    found = set(root.__subclasses__())
    return found.union(*(_subclasses(cls) for cls in found)) if found else found


CONTROL_FLOW = {errors.LeaseLost, errors.RunStopped, errors.Cancelled}
ABSTRACT = {errors.RetryableError, errors.PermanentError}
FAILURES = sorted(
    _subclasses(errors.RunError) - CONTROL_FLOW - ABSTRACT, key=lambda cls: cls.__name__
)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda cls: cls.__name__)
def test_every_failure_of_a_run_has_a_sentence_of_its_own(failure: type[errors.RunError]) -> None:
    assert failure.code in EXPLANATIONS


@pytest.mark.parametrize("code", [*sorted(EXPLANATIONS), "never_heard_of"])
def test_explanation_ends_with_a_remedy_and_names_no_internals(code: str) -> None:
    sentences = [part for part in explain(code).replace("; ", ". ").split(". ") if part]
    assert len(sentences) >= 2
    remedies = ("Request ", "Ask ", "Choose ")
    assert any(sentence.startswith(remedies) for sentence in sentences[1:])
    assert not any(word in explain(code) for word in ("WAYBILL_", "://", "S3", "PostgreSQL"))


def test_requester_reads_which_column_and_option_and_of_all_else_a_sentence() -> None:
    refused = errors.ValueNotRepresentable("born", "infinity", "Use the option text_columns")
    option = errors.InvalidOption("text_columns", "the export has no column 'x'")

    assert AttemptFailure.of(refused).detail == str(refused)
    assert AttemptFailure.of(option).detail == str(option)
    for error in (errors.SourceRejected("host db"), errors.UnknownColumn("a", "t", ("secret",))):
        assert AttemptFailure.of(error).detail is None
    assert AttemptFailure.of(ZeroDivisionError("data")).detail is None


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (errors.SourceUnavailable("x"), Cause.TRANSIENT),
        (errors.StorageCorrupted("x"), Cause.TRANSIENT),
        (errors.SourceRejected("x"), Cause.PERMANENT),
        (errors.UnknownExportType("x", ()), Cause.PERMANENT),
        (errors.DeadlineExceeded(60), Cause.DEADLINE),
        (errors.WorkerLost("x"), Cause.WORKER_LOST),
        (ZeroDivisionError(), Cause.INTERNAL),
        (MemoryError(), Cause.INTERNAL),
    ],
)
def test_cause_follows_from_the_type_of_the_error(error: Exception, cause: Cause) -> None:
    assert cause_of(error) is cause


def test_message_of_a_stranger_never_gets_into_the_history() -> None:
    failure = AttemptFailure.of(ValueError("ann@example.com is not a number"))
    assert failure.code == "internal_error"
    assert "ann" not in failure.message


def test_waits_are_1_2_and_4_seconds_and_the_last_repeats() -> None:
    policy = RetryPolicy(5, (1.0, 2.0, 4.0))
    assert [policy.delay_seconds(n, 5) for n in range(1, 5)] == [1.0, 2.0, 4.0, 4.0]


def test_replayed_job_begins_with_the_shortest_wait_again() -> None:
    policy = RetryPolicy(3, (1.0, 2.0, 4.0))
    assert [policy.delay_seconds(n, 6) for n in (4, 5)] == [1.0, 2.0]


@given(attempt=st.integers(1, 50), more=st.integers(0, 50), allowed=st.integers(1, 20))
def test_wait_is_always_one_of_the_policy(attempt: int, more: int, allowed: int) -> None:
    policy = RetryPolicy(allowed, (1.0, 2.0, 4.0))
    assert policy.delay_seconds(attempt, attempt + more) in policy.backoff_seconds


@given(export_id=st.uuids(), token=st.uuids(), attempt=st.integers(1, 99))
def test_owner_of_a_key_is_who_wrote_it(export_id: UUID, token: UUID, attempt: int) -> None:
    lease = Lease(export_id, attempt, token)
    key = object_key("a/b", None, lease)
    for written in (key, manifest_key(key)):
        owner = owner_of("a/b", written)
        assert owner is not None
        assert (owner.export_id, owner.token, owner.object_key) == (export_id, token, key)
        assert owner.folder is None
    assert owner_of("b", key) is None
    assert owner_of("a/b", key.upper()) is None or key.upper() == key


@given(st.text())
def test_any_other_key_has_no_owner(key: str) -> None:
    assert owner_of("exports", f"exports/{key}") is None


@pytest.mark.parametrize("text", ["", "host", "host/x/f", "host/1/", "/1/f", "host/-1/f", "h/١/f"])
def test_malformed_identity_is_nobody(text: str) -> None:
    assert WorkerIdentity.parse(text) is None


def test_identity_reads_what_it_wrote() -> None:
    identity = WorkerIdentity.current(uuid4().hex)
    assert WorkerIdentity.parse(str(identity)) == identity
