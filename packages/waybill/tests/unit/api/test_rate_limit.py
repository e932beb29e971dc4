"""Token buckets, on a clock that the test moves."""

import pytest

from waybill.api.rate_limit import RateLimiter
from waybill.api.request_headers import preference_headers
from waybill.errors import TooManyRequests
from waybill.principal import Principal

ANN = Principal("ann")


class Time:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def taken(limiter: RateLimiter, principal: Principal, most: int = 1_000) -> int:
    """Return how many requests are let through at this moment."""
    for count in range(most):
        try:
            limiter.take(principal, "poll")
        except TooManyRequests:
            return count
    return most


def test_burst_is_let_through_and_the_rest_is_told_when_to_come_back() -> None:
    time = Time()
    limiter = RateLimiter(per_second=0.25, burst=3, monotonic=time)
    assert taken(limiter, ANN) == 3
    with pytest.raises(TooManyRequests) as caught:
        limiter.take(ANN, "poll")
    assert caught.value.retry_after_seconds == 4
    time.seconds = caught.value.retry_after_seconds
    limiter.take(ANN, "poll")
    time.seconds += 1_000
    assert taken(limiter, ANN) == 3


def test_people_tenants_and_kinds_have_buckets_of_their_own() -> None:
    limiter = RateLimiter(per_second=1, burst=1, monotonic=Time())
    assert taken(limiter, ANN) == 1
    assert taken(limiter, Principal("bob")) == 1
    assert taken(limiter, Principal("ann", tenant="other")) == 1
    limiter.take(ANN, "request")


def test_steady_polling_below_the_rate_is_never_refused() -> None:
    time = Time()
    limiter = RateLimiter(per_second=10, burst=2, monotonic=time)
    for _ in range(200):
        limiter.take(ANN, "poll")
        time.seconds += 0.101


@pytest.mark.parametrize(
    ("headers", "applied"),
    [
        (["respond-async"], True),
        (["respond-async, wait=10"], True),
        (["handling=lenient, Respond-Async"], True),
        (["wait=10", "respond-async; foo=bar"], True),
        (["respond-asynchronously"], False),
        (['foo="respond-async"'], False),
        ([], False),
        (None, False),
    ],
)
def test_preference_is_found_in_any_spelling(headers: list[str] | None, applied: bool) -> None:
    assert bool(preference_headers(headers)) is applied
