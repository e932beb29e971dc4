"""How ``make chaos ARGS="--host celery"`` judges: what a task's lines say, what a command names."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from waybill.local.faults.shared.diary import Entry, judge, note, read, unfinished
from waybill.local.faults.shared.keys import CommandReader, KeyWatch

KILL = 105.0
# As Redis' COMMAND says it of them.
COMMANDS: dict[str, dict[str, Any]] = {
    "set": {"first_key_pos": 1, "last_key_pos": 1, "step_count": 1},
    "brpop": {"first_key_pos": 1, "last_key_pos": -2, "step_count": 1},
    "mset": {"first_key_pos": 1, "last_key_pos": -1, "step_count": 2},
    "flushdb": {"first_key_pos": 0, "last_key_pos": 0, "step_count": 0},
    "publish": {"first_key_pos": 0, "last_key_pos": 0, "step_count": 0},
    "ping": {"first_key_pos": 0, "last_key_pos": 0, "step_count": 0},
}


def lines(task: str, **when: list[float]) -> list[Entry]:
    return [Entry(what, task, at) for what, times in when.items() for at in times]


def test_task_that_ran_once_is_none_of_the_problems() -> None:
    tally = judge(lines("a", sent=[99], received=[100], begun=[100], ended=[110]), [])
    assert (tally.tasks, tally.lost, tally.again, tally.twice) == (1, 0, 0, 0)
    assert tally.problems == []


def test_task_that_ran_twice_without_a_reason_of_its_own_is_counted() -> None:
    entries = lines("a", sent=[99], received=[100, 101], begun=[100, 101], ended=[110, 111])
    for kills in ([], [90.0], [120.0]):  # a kill at another time is no reason
        tally = judge(entries, kills)
        assert (tally.again, tally.twice, len(tally.problems)) == (0, 1, 1)


def test_task_that_ran_again_before_redis_was_killed_is_counted() -> None:
    entries = lines("a", sent=[99], received=[100], begun=[100, 101, 107], ended=[110])
    tally = judge(entries, [KILL])
    assert (tally.under_way, tally.again, tally.twice) == (1, 1, 1)


def test_task_that_was_under_way_when_redis_was_killed_may_run_again() -> None:
    # By the connection that ended, or later by the visibility time-out.
    entries = lines("a", sent=[99], received=[100], begun=[100, 345], ended=[110, 355])
    tally = judge(entries, [KILL])
    assert (tally.lost, tally.under_way, tally.again, tally.twice) == (0, 1, 1, 0)
    assert tally.problems == []


@pytest.mark.parametrize("seen", [{}, {"received": [100.0]}, {"begun": [100.0]}])
def test_task_that_never_ended_is_lost(seen: dict[str, list[float]]) -> None:
    entries = lines("a", sent=[99], **seen)
    assert unfinished(entries) == 1
    tally = judge(entries, [KILL])
    assert (tally.tasks, tally.lost) == (1, 1)


def test_diary_is_read_as_it_was_written(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    assert read(diary) == []
    for what in ("sent", "received", "begun"):
        note(diary, what, "a")
    assert [(entry.what, entry.task) for entry in read(diary)] == [
        ("sent", "a"), ("received", "a"), ("begun", "a"),
    ]  # fmt: skip
    assert unfinished(read(diary)) == 1
    note(diary, "ended", "a")
    assert unfinished(read(diary)) == 0


def sent(*words: str) -> bytes:
    parts = (f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    return f"*{len(words)}\r\n{''.join(parts)}".encode()


def test_commands_are_read_in_whatever_pieces_they_come() -> None:
    commands = [["SET", "a", "b\r\n*1\r\n"], ["PING"], ["BRPOP", "é", "1"]]
    data = b"".join(sent(*words) for words in commands)
    chance = random.Random(1)  # noqa: S311 - reproducible on purpose
    for _ in range(50):
        found: list[list[str]] = []
        reader = CommandReader(found.append)
        at = 0
        while at < len(data):
            size = chance.randint(1, 9)
            reader.feed(data[at : at + size])
            at += size
        assert found == commands


@pytest.mark.parametrize(
    ("words", "touched"),
    [
        (["SET", "own.a", "celery"], []),
        (["set", "celery", "x"], ["set celery"]),
        (["BRPOP", "own.a", "celery", "30"], ["BRPOP celery"]),
        (["MSET", "own.a", "celery", "own.b", "x"], []),
        (["MSET", "own.a", "1", "unacked", "x"], ["MSET unacked"]),
        (["EVALSHA", "abc", "1", "own.mutex", "celery"], []),
        (["EVALSHA", "abc", "2", "own.mutex", "unacked_mutex", "x"], ["EVALSHA unacked_mutex"]),
        (["PING"], []),
        (["FLUSHDB"], ["FLUSHDB"]),
        (["PUBLISH", "/0.celeryev/worker.heartbeat", "x"],
         ["PUBLISH /0.celeryev/worker.heartbeat"]),
        (["UNHEARD", "own.a"], ["UNHEARD own.a"]),
    ],
)  # fmt: skip
def test_key_of_somebody_else_is_seen_wherever_a_command_names_it(
    words: list[str], touched: list[str]
) -> None:
    watch = KeyWatch(COMMANDS, "own.")
    watch.see(words)
    assert list(watch.touched) == touched
    assert watch.commands == 1
