"""Real git projects with records, for the tests of adrkit and of what builds on it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_HOUSE = """# ADR-{number:04d}: {title}

**Date:** 2026-01-31
**Status:** {status}
**Context:** [SHRED-1](https://tickets.example/SHRED-1)

## Decision

Use {title} for all of it.

## Alternatives Considered

| Approach | Pros | Cons | Verdict |
|----------|------|------|---------|
| **{title}** | Known | Old | ✅ **Chosen** - it is known |
| **Nothing** | Cheap | Nothing | ❌ Rejected - solves nothing |

## Related

- **Code:** `src/app.py`
"""


def house(number: int, title: str = "Use Queues", status: str = "Accepted") -> str:
    """A short record in the house template, without faults."""
    return _HOUSE.format(number=number, title=title, status=status)


class GitProject:
    """A real git repository in a temporary directory, with records in docs/adr."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.records = root / "docs" / "adr"
        root.mkdir(parents=True, exist_ok=True)
        self("init", "-q", "-b", "main")

    def __call__(self, *arguments: str) -> str:
        """Output of ``git ARGUMENTS``, with an author and without the user's settings."""
        environment = {
            **os.environ,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
        }
        done = subprocess.run(  # noqa: S603 - a fixed program
            ["git", *arguments],  # noqa: S607
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def write(self, path: str, text: str) -> Path:
        """Write a file, line endings as given; ``path`` is relative to the root."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
        return target

    def record(self, number: int, name: str, status: str = "Accepted") -> Path:
        text = house(number, name.replace("-", " ").title(), status)
        return self.write(f"docs/adr/{number:04d}-{name}.md", text)

    def commit(self, message: str = "change") -> str:
        """Commit everything; the commit's id."""
        self("add", "-A")
        self("commit", "-q", "--allow-empty", "-m", message)
        return self("rev-parse", "HEAD").strip()
