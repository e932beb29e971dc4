"""Which keys of a Redis processes name: read from what they send it."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from waybill.local.faults.tcp_proxy import TcpProxy

_EVALS: Final = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})
_WITHOUT_KEYS: Final = frozenset(
    {"AUTH", "HELLO", "CLIENT", "SELECT", "PING", "INFO", "MULTI", "EXEC", "DISCARD", "UNWATCH"}
    | {"ECHO", "QUIT", "RESET", "COMMAND", "SCRIPT"}
)
"""Commands that name no key and touch none."""


class CommandReader:
    """Reads the commands of one connection as they come, in pieces of any size."""

    def __init__(self, on_command: Callable[[list[str]], None]) -> None:
        self._on_command = on_command
        self._kept = b""

    def feed(self, data: bytes) -> None:
        """Take a piece; each command that it completes is told."""
        self._kept += data
        while (found := _command(self._kept)) is not None:
            words, used = found
            self._kept = self._kept[used:]
            self._on_command(words)


def _command(data: bytes) -> tuple[list[str], int] | None:
    """Return the first command of ``data`` and its length; ``None`` if it is not all there."""
    head = re.match(rb"\*(\d+)\r\n", data)
    if head is None:
        if data and not b"*".startswith(data[:1]):
            raise ValueError("this is no command of a Redis client")
        return None
    words, at = [], head.end()
    for _ in range(int(head[1])):
        size = re.compile(rb"\$(\d+)\r\n").match(data, at)
        if size is None or len(data) < size.end() + int(size[1]) + 2:
            return None
        words.append(data[size.end() : size.end() + int(size[1])].decode(errors="replace"))
        at = size.end() + int(size[1]) + 2
    return words, at


class KeyWatch:
    """Counts the keys that commands name, and those that are none of ``own``.

    Args:
        commands: what ``COMMAND`` answers: where the keys of each command are.
        own: how each key of whoever is watched begins.
    """

    def __init__(self, commands: Mapping[str, Mapping[str, Any]], own: str) -> None:
        self._commands = {name.upper(): facts for name, facts in commands.items()}
        self._own = own
        self.commands = 0
        self.touched: Counter[str] = Counter()

    def see(self, words: Sequence[str]) -> None:
        """Look at a command."""
        self.commands += 1
        keys = self._keys(words)
        if keys is None:
            # What names no key may touch all (FLUSHDB, SCAN), or a channel of theirs.
            if words[0].upper() not in _WITHOUT_KEYS:
                self.touched[" ".join(words[:2])] += 1
            return
        for key in keys:
            if not key.startswith(self._own):
                self.touched[f"{words[0]} {key}"] += 1

    def _keys(self, words: Sequence[str]) -> Iterable[str] | None:
        name = words[0].upper()
        if name in _EVALS:
            return words[3 : 3 + int(words[2])]
        facts = self._commands.get(name)
        if facts is None or not facts["first_key_pos"]:
            return None
        last = facts["last_key_pos"]
        end = len(words) + last + 1 if last < 0 else last + 1
        return words[facts["first_key_pos"] : end : facts["step_count"]]


class WatchedRedis(TcpProxy):
    """A proxy in front of a Redis that shows each command to ``see``."""

    see: Callable[[list[str]], None] | None = None

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_server: bool
    ) -> None:
        shown = reader if from_server else _Shown(reader, CommandReader(self._show))
        await super()._pump(shown, writer, from_server=from_server)  # type: ignore[arg-type]

    def _show(self, words: list[str]) -> None:
        if self.see is not None:
            self.see(words)


class _Shown:
    """A stream whose bytes are shown as they are read."""

    def __init__(self, reader: asyncio.StreamReader, commands: CommandReader) -> None:
        self._reader = reader
        self._commands = commands

    async def read(self, size: int) -> bytes:
        data = await self._reader.read(size)
        self._commands.feed(data)
        return data
