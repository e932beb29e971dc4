"""How many processors there are for readers and compressors."""

from __future__ import annotations

import os


def count_processors() -> int:
    """Return how many processors this process may use (Linux tells; elsewhere: that exist)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
