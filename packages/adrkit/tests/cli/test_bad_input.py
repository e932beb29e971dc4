"""Whatever a file holds: an answer or an error with a remedy, never a crash, and the file stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.testing import GitProject, house

EXAMPLE = (Path(__file__).parents[1] / "lint/specification_example.md").read_text("utf-8")

FENCED = "````md\n```adr-check\n[[path-exists]]\npath = 'no'\n```\n# No Title\n| a |\n|---|\n````\n"
NESTED = (
    "> - | a | b |\n>   |---|---|\n>   | `x|y` | ✅ **Chosen** |\n"
    ">\n>   > ```\n>   > # no\n>   > ```\n"
)
BAD = {
    "not-utf-8": EXAMPLE.encode("utf-16"),
    "broken-utf-8": EXAMPLE.encode()[:100] + b"\xff\xfe" + EXAMPLE.encode()[100:],
    "crlf": EXAMPLE.replace("\n", "\r\n").encode(),
    "lone-cr": EXAMPLE.replace("\n", "\r").encode(),
    "mixed-endings": EXAMPLE.replace("\n\n", "\r\n\n").encode(),
    "bom": b"\xef\xbb\xbf" + EXAMPLE.encode(),
    "no-title": EXAMPLE.split("\n", 2)[2].encode(),
    "two-titles": (EXAMPLE + "\n# ADR-0009: Another\n\n**Status:** Rejected\n").encode(),
    "nested": (EXAMPLE + "\n" + NESTED + FENCED).encode(),
    "unclosed-fence": (EXAMPLE + "\n```\n# more\n").encode(),
    "nul": EXAMPLE.replace("Celery", "Cel\0ery").encode(),
    "empty": b"",
    "blank": b"\n \t\n",
    "front-matter-bomb": b"---\na: &a [x]\nb: &b [*a,*a]\nstatus: *b\n---\n# T\n",
    "one-long-line": b"# ADR-0001: T\n\n" + b"[a](" * 5_000,
}
#: Every command that only reads; none may change a file.
READING = [
    "list", "list --json", "show 1", "show 1 --json", "search the", "why docs", "lint",
    "lint -f sarif", "audit", "audit --history", "check", "graph", "graph -f dot",
    "index --check", "export --source", "import docs/adr -n -o house", "renumber RECORD -n",
]  # fmt: skip
WRITING = [
    "accept RECORD", "reject RECORD", "deprecate RECORD --reason why", "supersede RECORD --by 2",
    "renumber RECORD", "lint --fix",
]  # fmt: skip


def run(root: Path, command: str, record: str = "") -> tuple[int, str, str]:
    words = [record if word == "RECORD" else word for word in command.split(" ")]
    result = CliRunner().invoke(app, ["-C", str(root), *words])
    assert isinstance(result.exception, SystemExit | None), (command, result.exception)
    assert result.exit_code in (0, 1, 2), command
    if result.exit_code == 2 and not result.stdout:
        told = "remedy: " in result.stderr or "left out; " in result.stderr
        assert told, (command, result.stderr)
    return result.exit_code, result.stdout, result.stderr


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }


@pytest.mark.parametrize("kind", BAD)
def test_no_command_crashes_and_what_is_not_changed_stays(project: GitProject, kind: str) -> None:
    bad = project.record(1, "use-queues")
    bad.write_bytes(BAD[kind])
    project.record(2, "use-logs")
    project.commit()
    before = contents(project.root)
    for command in READING:
        run(project.root, command, str(bad))
        assert contents(project.root) == before, command
    for command in WRITING:
        run(project.root, command, str(bad))
        after = contents(project.root)
        if kind in ("not-utf-8", "broken-utf-8"):  # cannot be edited, only moved
            assert BAD[kind] in after.values(), command
        for path, data in after.items():
            if path.startswith("docs/adr/0001") and kind in ("crlf", "bom", "lone-cr"):
                kept = before["docs/adr/0001-use-queues.md"]
                assert data.startswith(b"\xef\xbb\xbf") == kept.startswith(b"\xef\xbb\xbf")
                if kind == "crlf":
                    assert data.count(b"\n") == data.count(b"\r\n"), command
                if kind == "lone-cr":
                    assert b"\n" not in data, command
        project("checkout", "-q", ".")
        project("clean", "-fdq")
    assert contents(project.root) == before


def test_large_records_are_handled_by_the_commands(project: GitProject) -> None:
    """5 MB; and what costs more than reading on 500 kB, where what is quadratic never ends."""
    body = "## Section\n\nSome `src/app.py` and a [link](0001-big.md), ADR-0001.\n\n- item\n\n"
    big = project.write("docs/adr/0001-big.md", house(1) + body * (500_000 // len(body)))
    for command in ("lint", "renumber 1 -n", "graph"):
        run(project.root, command)
    big.write_text(house(1) + body * (5_000_000 // len(body)))
    before = big.read_bytes()
    assert len(before) > 4_900_000
    run(project.root, "deprecate 1 --reason big")
    assert big.read_bytes() == before.replace(
        b"**Status:** Accepted\n", b"**Status:** Deprecated\n**Reason:** Deprecated - big\n"
    )


def test_numbers_that_two_records_have_are_ambiguous_and_nothing_is_guessed(
    project: GitProject,
) -> None:
    project.record(1, "use-queues")
    project.record(1, "use-logs")
    before = contents(project.root)
    for command in ("show 1", "deprecate 1", "supersede 1 --by 1", "renumber 1"):
        code, _, err = run(project.root, command)
        assert (code, "0001-use-logs.md" in err) == (2, True), command
    assert contents(project.root) == before


def test_two_branches_that_take_the_next_number_are_detected_and_mended(
    project: GitProject,
) -> None:
    project.record(1, "use-queues")
    project.commit()
    for name in ("logs", "caches"):  # two people, from the same commit, without a fetch between
        project("switch", "-qc", name, "main")
        project.record(2, f"use-{name}")
        project.write(f"src/{name}.py", "# see ADR-0002\n")
        project.commit()
    code, out, _ = run(project.root, "lint --select ADR107")
    assert code == 1
    assert "0002-use-logs.md on logs" in out  # before anything was merged
    code, out, _ = run(project.root, "renumber docs/adr/0002-use-caches.md")
    assert code in (0, 1)
    assert not (project.records / "0002-use-caches.md").exists()
    assert "# ADR-0003: Use Caches" in (project.records / "0003-use-caches.md").read_text()
    project.commit()
    project("merge", "-q", "--no-edit", "logs")
    assert run(project.root, "lint --select ADR107")[0] == 0
    assert run(project.root, "audit --base main")[0] == 0


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("[[path-exists]]\npath = '../../etc/passwd'", "`..`"),
        ("[[path-exists]]\npath = '/etc/passwd'", "absolute"),
        ("[[config]]\nfile = 'link.toml'\npointer = '/a'\noperator = 'exists'", "symbolic link"),
        ("[[regex]]\nfiles = ['folder/**']\npattern = 'root'", "symbolic link"),
        ("[[regex]]\nfiles = ['src/a.txt']\npattern = '(a|aa)+$'", "pattern"),
        ("[[command]]\nrun = ['touch', 'made']", "command"),
        ("[[regex]]\nfiles = ['.git/**']\npattern = 'x'", "git's own"),
    ],
)
def test_hostile_checks_reach_nothing_and_fail_loudly(
    project: GitProject, tmp_path: Path, block: str, said: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.toml").write_text("a = 'root'\n")
    (project.root / "link.toml").symlink_to(outside / "secret.toml")
    (project.root / "folder").symlink_to(outside)
    project.write("src/a.txt", "a" * 60 + "b\n")
    project.write("adrkit.toml", "[check]\npattern-timeout-seconds = 0.5\n")
    project.write("docs/adr/0001-use-queues.md", f"{house(1)}\n```adr-check\n{block}\n```\n")
    before = contents(project.root)
    code, out, _ = run(project.root, "check")
    assert code in (1, 2)
    assert said in out
    assert "secret" not in out.replace("secret.toml", "")
    assert contents(project.root) == before
