"""Fault tests break what they use, so they have a stack and processes of their own."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from waybill.local.faults.rehearsal import Rehearsal
from waybill.local.process import SupervisedProcess
from waybill.local.stack import LocalStack

# About 21 MB as CSV: three parts of an upload.
USERS = 60_000


# One of each way to break things: what `make test` runs. `make faults` runs the whole table.
SHORT_FORM = frozenset(
    {
        "test_01_redis_down_at_post_is_accepted_and_published_on_recovery",
        "test_04_killed_child_is_replaced_and_the_job_reruns",
        "test_04_killed_child_loses_none_of_the_small_jobs_it_ran_side_by_side",
        "test_05_successor_of_a_killed_worker_goes_on_from_its_last_part[csv]",
        "test_07_zombie_that_wakes_after_its_lease_changes_nothing",
        "test_11_flushall_loses_no_job",
        "test_13_connection_cut_inside_commit_is_read_again_and_never_doubled",
        "test_16_s3_down_throughout_keeps_the_same_file_in_the_database",
        "test_17_complete_that_times_out_but_succeeded_is_found",
        "test_19_corrupted_part_is_sent_again_and_never_committed",
        "test_21_sigterm_gives_the_job_back_without_spending_the_attempt",
        "test_24_fifty_requests_at_once_by_one_person_make_exactly_five_jobs",
        "test_25_another_persons_job_is_answered_like_none_and_both_are_recorded",
        "test_26_formulas_are_neutralised_in_csv_and_lossless_in_json",
        "test_some_rounds_of_random_tables_find_no_file_that_is_wrong",
        "test_fault_that_is_planted_is_found[gap]",
        "test_fault_that_is_planted_is_found[lock]",
        "test_28_cancel_during_a_run_stops_it_within_a_heartbeat",
        "test_half_a_minute_of_chaos_beside_their_celery_touches_nothing_of_theirs",
    }
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    faults = [item for item in items if "faults" in item.path.parts]
    for item in faults:
        item.add_marker(pytest.mark.faults)
    asked_for = [config.option.markexpr, config.option.keyword, *config.invocation_params.args]
    if any("faults" in str(each) or "test_" in str(each) for each in asked_for):
        return
    left_out = {item for item in faults if item.name not in SHORT_FORM}
    config.hook.pytest_deselected(items=sorted(left_out, key=lambda item: item.name))
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def fault_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("faults"), fast=True) as stack:
        yield stack


@pytest.fixture
def house(fault_stack: LocalStack) -> Iterator[Rehearsal]:
    """A running service behind proxies; the invariants are checked when the test is over."""
    with Rehearsal(fault_stack, users=USERS) as rehearsal:
        yield rehearsal
        rehearsal.assert_invariants()


def children_of(process: SupervisedProcess) -> list[psutil.Process]:
    """The forked children of a worker, which run the exports."""
    return psutil.Process(process.pid).children(recursive=True)
