"""The simulation against what queueing theory knows exactly, and the command around it."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest

from waybill.capacity.simulation import Load, offered, percentile, places_for, simulate
from waybill.cli.capacity import _side_by_side

from ..cli.test_mistakes import _nothing, end_of

_CHANCE = random.Random(7)  # noqa: S311
EXPONENTIAL = Load("x", 1, tuple(_CHANCE.expovariate(1.0) for _ in range(20_000)))
FIXED = Load("x", 1, (1.0,))


def erlang_c(busy: float, places: int) -> float:
    """The chance that a request waits, in M/M/c."""
    terms = [busy**k / math.factorial(k) for k in range(places)]
    last = busy**places / math.factorial(places) * places / (places - busy)
    return last / (sum(terms) + last)


@pytest.mark.parametrize(("rate", "places"), [(0.7, 1), (1.6, 2), (7.0, 8)])
def test_share_that_waits_is_erlangs(rate: float, places: int) -> None:
    busy = offered(rate, [EXPONENTIAL])
    wanted = erlang_c(busy, places)
    found = simulate(rate, [EXPONENTIAL], places, slo_seconds=1e9, requests=100_000)
    assert found.busy == pytest.approx(busy / places)
    # The waits of those who wait are exponential: the 95th of 100 of all follows.
    p95 = math.log(wanted / 0.05) / (places / EXPONENTIAL.mean_held - rate)
    assert found.waiting_p95 == pytest.approx(p95, rel=0.15)


def test_fixed_service_times_wait_half_as_long() -> None:
    """Pollaczek and Khinchine: without variance, half of the mean wait."""
    fixed = simulate(0.8, [FIXED], 1, slo_seconds=1e9, requests=100_000)
    varied = simulate(0.8, [EXPONENTIAL], 1, slo_seconds=1e9, requests=100_000)
    assert fixed.waiting_p95 == pytest.approx(varied.waiting_p95 / 2, rel=0.2)


def test_places_are_the_least_that_keep_the_promise() -> None:
    loads = [Load("small", 9, (0.5, 1.0)), Load("large", 1, (20.0, 40.0))]
    found = places_for(2.0, loads, slo_seconds=60, share=0.99)
    assert found is not None
    assert found.within_slo >= 0.99
    less = simulate(2.0, loads, found.places - 1, slo_seconds=60)
    assert less.within_slo < 0.99
    assert found.places > offered(2.0, loads)


def test_promise_that_no_number_keeps_is_said() -> None:
    assert places_for(1.0, [Load("x", 1, (100.0,))], slo_seconds=60, share=0.99) is None


def test_internet_scale_is_answered() -> None:
    found = places_for(1_000.0, [Load("x", 1, (0.5, 1.5))], slo_seconds=5, share=0.99)
    assert found is not None
    assert 1_000 < found.places < 1_100


def test_percentile_is_the_nearest_rank() -> None:
    assert [percentile([1, 2, 3, 4], share) for share in (0.25, 0.5, 0.95)] == [1, 2, 4]


def test_command_says_how_many_workers(tmp_path: Path) -> None:
    given = ["capacity", "--rate", "60/min", "--mix", "users.csv=1@2", "--slo", "10s"]
    status, out, _ = end_of(given, {}, _nothing, tmp_path)
    assert status == 0
    assert out.splitlines()[-1].startswith("capacity: 2 workers of 2 places for 60/min")
    status, out, _ = end_of([*given, "--json"], {}, _nothing, tmp_path)
    assert json.loads(out)["workers"] == 2
    assert json.loads(out)["forecasts"][0]["busy"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rate", "many"], "--rate 'many'"),
        (["--rate", "0/s"], "--rate '0/s'"),
        (["--rate", "1/s", "--slo", "soon"], "--slo 'soon'"),
        (["--rate", "1/s", "--mix", "users"], "--mix 'users'"),
        (["--rate", "1/s", "--mix", "x=1@90"], "Raise --slo"),
    ],
)
def test_mistake_is_told(arguments: list[str], said: str, tmp_path: Path) -> None:
    status, _, err = end_of(["capacity", *arguments], {}, _nothing, tmp_path)
    assert status == 64
    assert said in " ".join(err.split())


def test_company_shares_a_place_and_ends_no_sooner() -> None:
    alone = [Load("x", 1, (4.0,))]
    beside = [Load("x", 1, (4.0,), (1.0,))]
    assert offered(2.0, beside) == offered(2.0, alone) / 4 == 2.0
    found = places_for(2.0, beside, slo_seconds=60, share=0.99)
    assert found is not None
    assert found.places == 3
    assert found.total_p95 >= 4.0
    assert _side_by_side(alone) == 1.0
    assert _side_by_side(beside) == 4.0
