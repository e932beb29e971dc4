"""``make bench-adrkit``: how long ``adr`` takes over 1,000 records and over 1,000 commits.

python benchmarks/records.py [--records 1000] [--commits 1000] [--runs 5]

(Not named adrkit.py: beside the other scripts it would hide the package of that name.)
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from environment import describe
from measure import Summary

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "adrkit.json"
#: The specification's own example, two pages: 990 words, three tables, code and a diagram.
EXAMPLE = HERE.parent / "packages/adrkit/tests/lint/specification_example.md"
TITLE = "# ADR-0001: Asynchronous Job Pattern for User Data Export"
CITED = (
    "app/tasks/export_tasks.py", "app/services/storage.py", "app/services/export_service.py",
    "app/repositories/base.py", "docs/design/user-export.md",
)  # fmt: skip
ADR = (sys.executable, "-m", "adrkit")


@dataclass
class Timed:
    seconds: Summary
    cpu_seconds: Summary
    last_line: str

    def as_json(self) -> dict[str, Any]:
        return {
            "seconds": self.seconds.as_json(),
            "cpu_seconds": self.cpu_seconds.as_json(),
            "said": self.last_line,
        }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    results: dict[str, Any] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": {
            **describe(),
            "packages": {n: version(n) for n in ("adrkeep", "markdown-it-py", "typer")},
            "git": _git(HERE, "--version").split()[-1],
        },
        "records": arguments.records,
        "commits": arguments.commits,
    }
    with tempfile.TemporaryDirectory(prefix="adrkit-bench-") as name:
        root = Path(name)
        results["start"] = timed(root, arguments.runs, "--version").as_json()
        many = make_records(root / "many", arguments.records)
        for command in ("lint", "check", "list"):
            results[command] = timed(many, arguments.runs, command).as_json()
        long = make_history(root / "long", arguments.commits)
        results["audit"] = timed(long, arguments.runs, "audit", "--history").as_json()
        assert f"along {arguments.commits} commits" in results["audit"]["said"], results["audit"]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for name in ("start", "lint", "check", "list", "audit"):
        figures = results[name]
        print(f"{name:6} {figures['seconds']['median']:6.2f} s  {figures['said']}")
    print(f"written to {RESULTS}")


def timed(root: Path, runs: int, *arguments: str) -> Timed:
    """Whole processes, start of Python included; all must end with exit code 0."""
    wall, cpu, last = [], [], ""
    for _ in range(runs):
        before, start = _children_cpu(), time.perf_counter()
        done = subprocess.run(
            [*ADR, "-C", str(root), *arguments], capture_output=True, text=True, check=False
        )
        wall.append(time.perf_counter() - start)
        cpu.append(_children_cpu() - before)
        if done.returncode:
            raise SystemExit(f"adr {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        last = done.stdout.splitlines()[-1]
    return Timed(Summary.of(wall), Summary.of(cpu), last)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def record(number: int) -> str:
    title = f"# ADR-{number:04d}: Asynchronous Job Pattern for Export {number}"
    return EXAMPLE.read_text(encoding="utf-8").replace(TITLE, title)


def name_of(number: int) -> str:
    return f"docs/adr/{number:04d}-asynchronous-job-pattern-for-export-{number}.md"


def make_records(root: Path, count: int) -> Path:
    """A git repository with ``count`` accepted records of two pages, all of them clean."""
    for path in CITED:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    (root / "docs/adr").mkdir(parents=True)
    for number in range(1, count + 1):
        (root / name_of(number)).write_text(record(number), encoding="utf-8")
    _git(root, "init", "-q", "-b", "main")
    _git(root, "add", "-A")
    _commit(root)
    return root


def make_history(root: Path, commits: int) -> Path:
    """A repository whose every commit touches a record, each of them legally: every fifth adds one,
    the others deprecate, retarget a link, pad a table or wrap a line."""
    root.mkdir(parents=True)
    _git(root, "init", "-q", "-b", "main")
    texts: dict[int, str] = {}
    stream = bytearray()
    for index, (number, text) in enumerate(_changes(texts, commits)):
        data, message = text.encode(), f"change {index}".encode()
        stream += b"commit refs/heads/main\ncommitter Ada <ada@example.org> %d +0000\n" % (
            1_700_000_000 + index
        )
        stream += b"data %d\n%s\n" % (len(message), message)
        stream += b"M 100644 inline %s\ndata %d\n%s\n" % (name_of(number).encode(), len(data), data)
    subprocess.run(["git", "fast-import", "--quiet"], cwd=root, input=bytes(stream), check=True)
    _git(root, "reset", "-q", "--hard")
    return root


def _changes(texts: dict[int, str], commits: int) -> Iterator[tuple[int, str]]:
    for index in range(commits):
        step, number = index % 5, index // 5 + 1
        if step == 0:
            texts[number] = record(number)
        elif step == 1:
            texts[number] = texts[number].replace("tickets.example/", "tracker.example/")
        elif step == 2:
            texts[number] = texts[number].replace("| Impact |", "|  Impact  |")
        elif step == 3:
            texts[number] = texts[number].replace("capabilities for", "capabilities\n  for")
            texts[number] = texts[number].replace("- Support for", "* Support for")
            texts[number] = texts[number].replace("- Export must", "* Export must")
            texts[number] = texts[number].replace("- CSV and", "* CSV and")
            texts[number] = texts[number].replace("- Rate limiting to", "* Rate limiting to")
        else:
            texts[number] = texts[number].replace(
                "**Status:** Accepted\n", "**Status:** Deprecated\n**Reason:** Nobody exports\n"
            )
        yield number, texts[number]


def _commit(root: Path) -> None:
    _git(
        root, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "-qm", "records"
    )


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout


if __name__ == "__main__":
    main()
