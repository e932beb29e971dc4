"""What a worker's children share with their parent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROLLUP = Path("/proc/self/smaps_rollup")

# In a process of its own, since what is frozen stays so.
_FORK = """
import gc, os, sys
from pathlib import Path
from waybill.worker.memory import share_what_is_there

def own_kib():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Private_Dirty")))

kept = [[number] for number in range(300_000)]
whole = own_kib()
if sys.argv[1] == "shared":
    share_what_is_there()
reading, writing = os.pipe()
if os.fork() == 0:
    gc.collect()
    os.write(writing, str(own_kib()).encode())
    os._exit(0)
os.wait()
print(int(os.read(reading, 32)) / whole)
"""


@pytest.mark.skipif(not _ROLLUP.exists(), reason="the kernel does not say what is shared")
def test_child_that_collects_garbage_goes_on_sharing_its_parents_memory() -> None:
    def own_part(how: str) -> float:
        command = [sys.executable, "-c", _FORK, how]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert own_part("shared") < 0.15
    assert own_part("as it is") > 0.4  # so that the first figure means something
