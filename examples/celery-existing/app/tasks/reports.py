"""A task of the application's own."""

from __future__ import annotations

import time
from pathlib import Path

from app.worker import app


@app.task
def count(path: str, seconds: float) -> None:
    """Write a line, so that each run can be seen, and take a while."""
    with Path(path).open("a") as file:
        file.write("ran\n")
    time.sleep(seconds)
