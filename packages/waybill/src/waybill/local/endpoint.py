"""Where a running ``waybill local`` can be reached: a small private file in its data directory."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

DATA_DIR = Path(".waybill")
_FILE = "endpoint.json"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service's address and development token (empty where an issuer's tokens count), and the
    settings of its stack by name, for the verbs that talk to its database."""

    url: str
    token: str = field(repr=False)
    pid: int
    settings: dict[str, str] = field(default_factory=dict, repr=False)


def publish(endpoint: Endpoint, data_dir: Path = DATA_DIR) -> None:
    """Write the file, readable by its owner alone."""
    path = data_dir / _FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(endpoint), file)


def withdraw(data_dir: Path = DATA_DIR) -> None:
    """Remove the file; harmless where there is none."""
    (data_dir / _FILE).unlink(missing_ok=True)


def find_running(data_dir: Path = DATA_DIR) -> Endpoint | None:
    """Return the endpoint of a service that is alive, or ``None``."""
    try:
        endpoint = Endpoint(**json.loads((data_dir / _FILE).read_text(encoding="utf-8")))
        os.kill(endpoint.pid, 0)
    except (OSError, ValueError, TypeError):
        return None  # none, a torn one, or one of a process that died without a word
    return endpoint
