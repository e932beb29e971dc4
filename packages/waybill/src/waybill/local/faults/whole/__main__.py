"""``make whole``: exports of random tables while they are changed, held against what was committed.

    python -m waybill.local.faults.whole --minutes 10 --seed 1

The last line is ``whole: N exports, N completed, N refused, 0 wrong``; the exit status is 1 if any
is wrong, or if a long run made no file of several segments. ``--plant gap``, ``--plant lock`` and
``--plant segment`` plant a fault, which has to be found.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from waybill.local.faults.whole.attempts import PLANTS
from waybill.local.faults.whole.rounds import fuzz
from waybill.local.signals import orderly_exit
from waybill.local.stack import LocalStack
from waybill.log import configure_logging


def main() -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="whole", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plant", choices=sorted(PLANTS))
    arguments = parser.parse_args()
    configure_logging("CRITICAL")
    console = Console(stderr=True, highlight=False)
    with orderly_exit(), tempfile.TemporaryDirectory(prefix="waybill-whole-") as directory:
        Path(directory).chmod(0o755)
        with LocalStack(Path(directory) / "stack", fast=True) as stack:
            tally = fuzz(
                stack,
                Path(directory),
                minutes=arguments.minutes,
                seed=arguments.seed,
                console=console,
                plant=arguments.plant,
            )
    print(tally)
    return tally.exit_status


if __name__ == "__main__":
    sys.exit(main())
