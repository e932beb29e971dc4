"""Places for dry runs: one for each person, in turns, and a bounded wait."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from waybill.errors import TooManyDryRuns
from waybill.requests.dry_runs import FairPlaces, Person

ANN: Person = ("acme", "ann")
BOB: Person = ("acme", "bob")
NAMESAKE: Person = ("globex", "ann")
FOREVER = 60.0


class Crowd:
    """Holders that stay until they are told to go."""

    def __init__(self, places: FairPlaces) -> None:
        self.places = places
        self.order: list[Person] = []
        self.inside: Counter[Person] = Counter()
        self.go = asyncio.Semaphore(0)

    async def come(self, person: Person) -> None:
        async with self.places.hold(person):
            self.order.append(person)
            self.inside[person] += 1
            assert self.inside[person] == 1
            assert sum(self.inside.values()) <= 2
            await self.go.acquire()
            self.inside[person] -= 1

    def start(self, *persons: Person) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.come(person)) for person in persons]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_persons_many_leave_the_other_places_to_others() -> None:
    crowd = Crowd(FairPlaces(2, FOREVER))
    tasks = crowd.start(*[ANN] * 5)
    await settle()
    assert crowd.order == [ANN]  # one, though two places are free
    tasks += crowd.start(BOB, NAMESAKE)
    await settle()
    assert crowd.order == [ANN, BOB]
    for _ in tasks:
        crowd.go.release()
        await settle()
    await asyncio.gather(*tasks)
    # Those who waited come before the second of who had a turn.
    assert crowd.order[:4] == [ANN, BOB, NAMESAKE, ANN]


async def test_wait_is_bounded_and_leaves_nothing_behind() -> None:
    places = FairPlaces(1, 0.01)
    crowd = Crowd(places)
    holder = crowd.start(ANN)
    await settle()
    for person in (ANN, BOB):
        with pytest.raises(TooManyDryRuns):
            await crowd.come(person)
    crowd.go.release()
    await asyncio.gather(*holder)
    async with places.hold(BOB):
        assert not places._waiting
    async with places.hold(ANN):
        pass


async def test_place_given_to_who_leaves_in_that_moment_goes_to_the_next() -> None:
    places = FairPlaces(1, FOREVER)
    crowd = Crowd(places)
    holder, leaver, last = crowd.start(ANN, BOB, NAMESAKE)
    await settle()
    # The place is given, and before its new holder runs it is cancelled.
    crowd.go.release()
    await asyncio.wait({holder})
    leaver.cancel()
    await settle()
    crowd.go.release()
    await asyncio.wait({leaver, last})
    assert last.exception() is None
    async with places.hold(BOB):
        pass


async def test_who_leaves_while_waiting_keeps_nobody_waiting() -> None:
    crowd = Crowd(FairPlaces(1, FOREVER))
    holder, leaver, last = crowd.start(ANN, BOB, NAMESAKE)
    await settle()
    leaver.cancel()
    await settle()
    crowd.go.release()
    crowd.go.release()
    await asyncio.gather(holder, last)
    assert crowd.order == [ANN, NAMESAKE]
