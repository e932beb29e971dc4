"""The baseline: findings that were there before, and may only become fewer.

A finding is known by its file, its code and the text of its line, not by a line number, so that
edits elsewhere in the file change nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from adrkit.bounded import read_bounded
from adrkit.errors import ConfigError
from adrkit.lint.rule import Finding
from adrkit.names import real_path
from adrkit.transaction import write_atomically

Key = tuple[str, str, str]


def key_of(finding: Finding, root: Path) -> Key:
    return shown(finding.path, root), finding.code, " ".join(finding.source.split())


def shown(path: Path, root: Path) -> str:
    try:
        return real_path(path).relative_to(real_path(root)).as_posix()
    except ValueError:
        return path.as_posix()


class Baseline:
    def __init__(self, known: Counter[Key]) -> None:
        self.known = known

    @classmethod
    def of(cls, findings: Iterable[Finding], root: Path) -> Baseline:
        return cls(Counter(key_of(finding, root) for finding in findings))

    @classmethod
    def read(cls, path: Path) -> Baseline | None:
        """None when there is no such file. Raises ConfigError when it is no baseline."""
        try:
            data = json.loads(read_bounded(path))
            entries = data[{1: "findings"}[data["version"]]]  # another version is no baseline
            return cls(
                Counter(
                    {(e["path"], e["code"], e["text"]): int(e.get("count", 1)) for e in entries}
                )
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(
                path,
                "is no baseline of adr lint",
                remedy="write it anew: adr lint --write-baseline",
            ) from error

    def split(self, findings: Iterable[Finding], root: Path) -> tuple[list[Finding], Baseline, int]:
        """New findings, the baseline without what vanished, and how many vanished."""
        left = Counter(self.known)
        fresh: list[Finding] = []
        for finding in findings:
            key = key_of(finding, root)
            if left[key] > 0:
                left[key] -= 1
            else:
                fresh.append(finding)
        gone = +left
        return fresh, Baseline(self.known - gone), gone.total()

    def write(self, path: Path, boundary: Path) -> None:
        """Raises PathOutside or WriteFailed."""
        entries = [
            {"path": key[0], "code": key[1], "text": key[2], "count": count}
            for key, count in sorted((+self.known).items())
        ]
        text = json.dumps({"version": 1, "findings": entries}, indent=1, ensure_ascii=False)
        write_atomically(path, (text + "\n").encode(), boundary)
