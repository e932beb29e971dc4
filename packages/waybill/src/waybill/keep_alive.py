"""How a connection to PostgreSQL notices that its peer has vanished without a word."""

from __future__ import annotations

from typing import Any, Final

SILENCE_SECONDS: Final = 30


def keep_alive(*, seconds: int = SILENCE_SECONDS) -> dict[str, Any]:
    """Return libpq's parameters by which it is noticed in ``seconds``, inside a lease of 60 s:
    while the connection is silent by probes (after 10 s, every 5 s), while data wait to be
    acknowledged by ``tcp_user_timeout``."""
    return {
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": seconds * 1000,
    }
