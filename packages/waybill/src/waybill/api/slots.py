"""How many of something one key may hold at a time. What nobody holds takes no memory."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Hashable, Iterator

from waybill.errors import TooManyOpen


class Slots:
    """Counts what is held, by key.

    Args:
        most: how many one key may hold.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[Hashable] = Counter()

    @contextlib.contextmanager
    def hold(self, key: Hashable) -> Iterator[None]:
        """Hold one for the block.

        Raises:
            TooManyOpen: ``key`` holds as many as it may.
        """
        if self._held[key] >= self._most:
            raise TooManyOpen(self._most)
        self._held[key] += 1
        try:
            yield
        finally:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]
