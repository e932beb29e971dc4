"""How many planted violations does `adr review` find, and how often is it wrong?

python benchmarks/review.py --samples 120 --seed 1        (results/review.json)

Two histories: this repository's own, at random commits, and the record corpora of three other
projects, each with a little code that cites them. Every violation is one commit on top of a real
one; harmless changes are planted in the same way, and unplanted real commits are reviewed as well.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from review_planting import HARMLESS, VIOLATIONS, Parsed, Project

from adrkit.git import Git
from adrkit.model import Status
from adrkit.repository import RecordRepository
from adrkit.review import Review, review

HERE = Path(__file__).resolve().parents[1]
MAX_PARSED = 1500  # files; of a few megabytes each in memory
CORPORA = HERE.parent / "shared" / "data" / "adr-corpora.tar.gz"
_NAMES = {
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}  # fmt: skip
_CHECKED = """
## Confirmation

```adr-check
[[setting]]
file = "src/settings.py"
attribute = "RETRIES"
operator = "=="
value = 3

[[import-forbidden]]
files = ["src/domain/**"]
modules = ["requests"]

[[symbol-exists]]
file = "src/domain/orders.py"
symbol = "Order"

[[path-exists]]
path = "src/app.py"
```
"""


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, text=True,
        env={**os.environ, **_NAMES},
    ).stdout  # fmt: skip


def own_history(folder: Path) -> tuple[Path, list[str]]:
    """A clone of this repository, and its commits since it has records."""
    root = folder / "own"
    git(folder, "clone", "-q", "--shared", str(HERE), str(root))
    since = git(root, "log", "--reverse", "--first-parent", "--format=%H", "--", "docs/adr").split()
    commits = git(root, "log", "--first-parent", "--format=%H", "HEAD").split()
    return root, commits[: commits.index(since[0])]


def corpus_histories(folder: Path) -> list[tuple[Path, list[str]]]:
    if not CORPORA.exists():
        return []
    with tarfile.open(CORPORA) as archive:
        archive.extractall(folder / "corpora", filter="data")
    found = []
    for source in sorted(p for p in (folder / "corpora").iterdir() if p.is_dir()):
        root = folder / f"history-{source.name}"
        records = root / "docs" / "adr"
        shutil.copytree(source, records)
        git(root, "init", "-q", "-b", "main")
        every = RecordRepository(records).list()
        accepted = [r for r in every if r.status_kind is Status.ACCEPTED and r.number and r.path]
        for at, record in enumerate(accepted[:12]):
            (root / "src").mkdir(exist_ok=True)
            (root / f"src/m{at}.py").write_text(f"# ADR-{record.number:04d}\nX = {at}\n")
        (root / "src/domain").mkdir()
        (root / "src/domain/orders.py").write_text("class Order:\n    pass\n")
        (root / "src/settings.py").write_text("RETRIES = 3\n")
        (root / "src/app.py").write_text("def main() -> None:\n    print(1)\n")
        (root / "pyproject.toml").write_text(
            '[project]\nname = "x"\ndependencies = [\n    "rich>=13",\n]\n'
        )
        checked = accepted[0]
        assert checked.path is not None
        checked.path.write_text(checked.path.read_text("utf-8").rstrip() + "\n" + _CHECKED, "utf-8")
        # A history: the records come one after the other.
        commits = []
        git(root, "add", "src", "pyproject.toml")
        for path in RecordRepository(records).paths:
            git(root, "add", str(path))
            if path == checked.path or path.stat().st_size % 5 == 0:
                git(root, "commit", "-qm", f"Add {path.name}")
        git(root, "add", "-A")
        git(root, "commit", "-q", "--allow-empty", "-m", "All of them")
        commits = git(root, "log", "--format=%H").split()[:8]
        found.append((root, commits))
    return found


def planted(
    root: Path, commit: str, seed: int, harmful: bool, parsed: Parsed
) -> tuple[str, str, Review, object] | None:
    """One planted commit on ``commit``: its kind, what it did, the review, what was expected."""
    git(root, "checkout", "-q", "-f", "--detach", commit)
    git(root, "clean", "-fdq")
    project = Project(root, seed, parsed)
    plants = list(VIOLATIONS if harmful else HARMLESS)
    plant = plants[seed % len(plants)]
    expected = plant(project)
    if expected is None:
        return None
    git(root, "add", "-A")
    git(root, "commit", "-qm", f"Change {seed}")
    made = review(Git(root), root, commit, "HEAD", parsed=parsed)
    return plant.__name__, str(getattr(expected, "what", expected)), made, expected


def real_commits(
    own: tuple[Path, list[str]], wanted: int, chance: random.Random, parsed: Parsed
) -> tuple[int, list[list[object]]]:
    """How many commits were reviewed as they are, and those that raised an alarm."""
    root, commits = own
    git(root, "checkout", "-q", "-f", "--detach", commits[0])
    sample = sorted(chance.sample(range(len(commits) - 1), min(wanted, len(commits) - 1)))
    found: list[list[object]] = []
    for commit in (commits[place] for place in sample):
        if len(parsed) > MAX_PARSED:
            parsed.clear()
        made = review(Git(root), root, f"{commit}^", commit, parsed=parsed)
        loud = [
            f"{f.rule} {f.path}:{f.line}: {f.message}" for f in made.findings if f.level != "note"
        ]
        if loud:
            found.append([git(root, "log", "-1", "--format=%h %s", commit).strip(), loud])
    return len(sample), found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=120)
    parser.add_argument("--real", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "benchmarks/results/review.json")
    options = parser.parse_args()
    chance = random.Random(options.seed)  # noqa: S311 - reproducible, no secret
    missed, alarms = [], []
    tried: Counter[str] = Counter()
    found: Counter[str] = Counter()
    parsed: Parsed = {}  # hundreds of commits that differ in a few files
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = own_history(folder)
        histories = [own, *corpus_histories(folder)]
        harmless = 0
        jobs = []
        for at in range(options.samples * 2):
            which = 0 if chance.random() < 0.4 else chance.randrange(len(histories))
            jobs.append((which, chance.randrange(len(histories[which][1])), at))
        # By commit: what neighbours have in common is parsed once.
        for which, place, at in sorted(jobs):
            root, commits = histories[which]
            harmful = at % 2 == 0
            seed = options.seed * 1000 + at // 2
            if len(parsed) > MAX_PARSED:
                parsed.clear()
            result = planted(root, commits[place], seed, harmful, parsed)
            if result is None:
                continue
            kind, what, made, expected = result
            loud = [f for f in made.findings if f.level in ("error", "warning")]
            if harmful:
                tried[kind] += 1
                if any(
                    f.rule == expected.rule
                    and (expected.number is None or f.number == expected.number)
                    for f in made.findings
                ):
                    found[kind] += 1
                else:
                    missed.append(
                        [root.name, kind, what, made.base, [f.message for f in made.findings]]
                    )
            else:
                harmless += 1
                if loud:
                    alarms.append(
                        [root.name, kind, what, made.base, [f"{f.rule}: {f.message}" for f in loud]]
                    )
        looked_at, real = real_commits(own, options.real, chance, parsed)
    total = sum(tried.values())
    value = {
        "seed": options.seed,
        "planted": total, "found": sum(found.values()),
        "by_kind": {kind: [found[kind], count] for kind, count in sorted(tried.items())},
        "missed": missed,
        "harmless": harmless, "false_alarms": alarms,
        "real_commits": looked_at, "real_alarms": real,
    }  # fmt: skip
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")
    share = 100 * found.total() / max(total, 1)
    sys.stdout.write(
        f"planted: {total}, found: {found.total()} ({share:.1f} %)\n"
        f"harmless: {harmless}, false alarms: {len(alarms)}\n"
        f"real commits: {looked_at}, with alarms: {len(real)}\n"
    )


if __name__ == "__main__":
    main()
