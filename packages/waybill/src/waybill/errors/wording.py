"""How the errors' messages say a time."""

from __future__ import annotations


def duration(seconds: int) -> str:
    """Return ``seconds`` as people say it: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 60:
        return f"{seconds} s"
    minutes = -(-seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
