"""What a worker's processes keep in memory."""

from __future__ import annotations

import gc
from typing import Any


def share_what_is_there(**_: Any) -> None:
    """Let a child that is about to be made share what this process has in memory.

    Pages are shared until one of the two writes to them, and Python's garbage collection writes to
    every object that it looks at. It does not look at those that are there now: neither here, where
    only modules and their like are, nor in the child.
    """
    gc.collect()
    gc.freeze()
