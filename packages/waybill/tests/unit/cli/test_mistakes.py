"""Every ordinary mistake on the command line is one sentence and a status, and no traceback.

The table below is the one of docs/mistakes.md, which is written from what the commands really said:
``python -m packages.waybill.tests.unit.cli.test_mistakes`` writes it anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from waybill.cli.app import app
from waybill.cli.exits import run

GUIDE = Path(__file__).parents[5] / "docs" / "mistakes.md"
HEAD = """\
# Mistakes, and what they say

Every command ends each ordinary mistake with one sentence that names the remedy, and with a status
of sysexits.h. This table is what the commands say; a test holds it, and writes it.

| mistake | status | sentence |
|---|---|---|
"""
SERVICE = {"WAYBILL_URL": "http://127.0.0.1:9", "WAYBILL_TOKEN": "t"}
NOT_THERE = "postgresql://me@127.0.0.1:9/x"
SECRET = "a secret that is long enough to sign with"
_UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"

Setup = Callable[[Path], None]


def _nothing(_folder: Path) -> None: ...


def _write(name: str, data: bytes) -> Setup:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return write


def _link(folder: Path) -> None:
    (folder / "link.csv").symlink_to("/etc/hostname")


MISTAKES: dict[str, tuple[list[str], dict[str, str], Setup, int]] = {
    # name: arguments, environment, what lies there, status
    "no such command": (["exprot"], {}, _nothing, 64),
    "no such option": (["export", "users", "--fromat", "csv"], {}, _nothing, 64),
    "export of nothing": (["export"], {}, _nothing, 64),
    "export without a service": (["export", "users"], {}, _nothing, 78),
    "export from an address that is none": (
        ["export", "users", "--url", "localhost:8000", "--token", "t"], {}, _nothing, 64,
    ),
    "export from a port that is none": (
        ["export", "users", "--url", "http://127.0.0.1:99999", "--token", "t"], {}, _nothing, 64,
    ),
    "export without a token": (
        ["export", "users", "--url", "http://127.0.0.1:9"], {}, _nothing, 78,
    ),
    "export with a token that was torn": (
        ["export", "users", "--token", "a\nb"], SERVICE, _nothing, 64,
    ),
    "export from a service that is away": (["export", "users"], SERVICE, _nothing, 75),
    "export into a folder that is not there": (
        ["export", "users", "-o", "missing/users.csv"], SERVICE, _nothing, 73,
    ),
    "export into a file where a folder should be": (
        ["export", "users", "-o", "file/users.csv"], SERVICE, _write("file", b""), 73,
    ),
    "export onto a file": (
        ["export", "users", "-o", "users.csv"], SERVICE, _write("users.csv", b"mine"), 73,
    ),
    "export onto a manifest": (
        ["export", "users"], SERVICE, _write("users.csv.manifest.json", b"{}"), 73,
    ),
    "export onto a symbolic link, forced": (
        ["export", "users", "-o", "link.csv", "--force"], SERVICE, _link, 73,
    ),
    "export onto a device": (
        ["export", "users", "-o", "/dev/full", "--force"], SERVICE, _nothing, 73,
    ),
    "export onto a folder": (["export", "users", "-o", "."], SERVICE, _nothing, 64),
    "export under a name that is too long": (
        ["export", "users", "-o", "x" * 250], SERVICE, _nothing, 73,
    ),
    "export with half an option": (["export", "users", "--option", "bom"], SERVICE, _nothing, 64),
    "export with half a filter": (["export", "users", "--filter", "age"], SERVICE, _nothing, 64),
    "export with a filter that is torn": (
        ["export", "users", "--filter", "age.in=[1,2"], SERVICE, _nothing, 64,
    ),
    "export with a column of no name": (["export", "users", "-c", "=x"], SERVICE, _nothing, 64),
    "export by a way that is none": (
        ["export", "users", "--via", "pigeon"], SERVICE, _nothing, 64,
    ),
    "status of no export": (["status"], SERVICE, _nothing, 64),
    "status from a service that is away": (["status", _UUID], SERVICE, _nothing, 75),
    "list of no number": (["list", "--limit", "many"], SERVICE, _nothing, 64),
    "list from a service that is away": (["list"], SERVICE, _nothing, 75),
    "types from a service that is away": (["types"], SERVICE, _nothing, 75),
    "quota from a service that is away": (["quota"], SERVICE, _nothing, 75),
    "cancel without a service": (["cancel", _UUID], {}, _nothing, 78),
    "download from a service that is away": (["download", _UUID], SERVICE, _nothing, 75),
    "verify of a file that is not there": (["verify", "users.csv"], {}, _nothing, 66),
    "verify without a manifest": (["verify", "a.csv"], {}, _write("a.csv", b"x"), 66),
    "verify with a manifest that is none": (
        ["verify", "a.csv", "a.csv"], {}, _write("a.csv", b"\xff\xfe"), 66,
    ),
    "verify with a manifest that is a list": (
        ["verify", "a.csv", "a.csv"], {}, _write("a.csv", b"[]"), 66,
    ),
    "verify with a manifest that is a bomb": (
        ["verify", "a.csv", "a.csv"], {}, _write("a.csv", b"[" * 100_000), 66,
    ),
    "token without a secret": (["token", "ann"], {}, _nothing, 78),
    "token with a tenant that no claim holds": (
        ["token", "ann", "--tenant", "acme"], {"WAYBILL_JWT_SECRETS": SECRET}, _nothing, 78,
    ),
    "init without a database": (["init"], {}, _nothing, 78),
    "init of a DSN that is none": (["init", "--dsn", "nonsense"], {}, _nothing, 78),
    "init of a database that is away": (["init", "--dsn", NOT_THERE], {}, _nothing, 75),
    "init onto a file": (
        ["init", "--dsn", NOT_THERE], {}, _write("waybill.toml", b"# mine\n"), 73,
    ),
    "init into a folder that is not there": (
        ["init", "--dsn", NOT_THERE, "-o", "missing/waybill.toml"], {}, _nothing, 73,
    ),
    "check without a catalog": (["check", "--dsn", NOT_THERE], {}, _nothing, 78),
    "check of a catalog that is no TOML": (
        ["check", "--dsn", NOT_THERE], {}, _write("waybill.toml", b"[exports.users\n"), 78,
    ),
    "check of a catalog in UTF-16": (
        ["check", "--dsn", NOT_THERE], {},
        _write("waybill.toml", '[exports.users]\ntable = "users"\n'.encode("utf-16")), 78,
    ),
    "api without settings": (["api"], {}, _nothing, 78),
    "api on a port that is none": (["api", "--port", "99999"], {}, _nothing, 64),
    "worker with a number that is none": (["worker", "--concurrency", "0"], {}, _nothing, 64),
    "worker without settings": (["worker"], {}, _nothing, 78),
    "scheduler without settings": (["scheduler"], {}, _nothing, 78),
    "migrate without settings": (["migrate"], {}, _nothing, 78),
    "grants without settings": (["grants", "reader"], {}, _nothing, 78),
    "doctor of an area that is none": (["doctor", "--only", "storge"], {}, _nothing, 64),
    "capacity for a rate that is none": (["capacity", "--rate", "many"], {}, _nothing, 64),
    "dead letters without settings": (["dead-letters", "list"], {}, _nothing, 78),
    "dead letter of no id": (["dead-letters", "show", "x"], {}, _nothing, 64),
    "replay of nothing": (["dead-letters", "replay"], {}, _nothing, 64),
    "notifications without settings": (["notifications", "list"], {}, _nothing, 78),
    "notifications of a status that is none": (
        ["notifications", "list", "--status", "lost"], {}, _nothing, 64,
    ),
    "notifications of nothing again": (["notifications", "replay"], {}, _nothing, 64),
}  # fmt: skip


def end_of(
    arguments: list[str], environment: dict[str, str], setup: Setup, folder: Path
) -> tuple[int, str, str]:
    """Run the command line in ``folder``; return its status, and what it said on both outputs."""
    setup(folder)
    out, err = io.StringIO(), io.StringIO()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WAYBILL_")}
    with (
        mock.patch.dict(os.environ, {**inherited, "COLUMNS": "200", **environment}, clear=True),
        mock.patch.object(sys, "argv", ["waybill", *arguments]),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = run(app, name="waybill")
    return status, out.getvalue(), err.getvalue()


def sentence(said: str) -> str:
    """Return what was said as one line, without the frame that Typer draws."""
    bare = re.sub(r"\x1b\[[0-9;]*m|[╭╮╰╯│─]", " ", said)
    return " ".join(bare.split()).replace("|", "\\|")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_told_in_a_sentence_and_leaves_nothing(mistake: str, tmp_path: Path) -> None:
    arguments, environment, setup, expected = MISTAKES[mistake]
    setup(tmp_path)
    before = sorted((path.name, path.lstat().st_size) for path in tmp_path.iterdir())
    status, out, err = end_of(arguments, environment, _nothing, tmp_path)
    assert status == expected, err
    assert out == ""
    said = sentence(err)
    assert "Traceback" not in said
    assert 10 < len(said) < 700
    assert sorted((path.name, path.lstat().st_size) for path in tmp_path.iterdir()) == before


def test_every_command_is_in_the_table() -> None:
    named = {arguments[0] for arguments, *_ in MISTAKES.values()}
    commands = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    # These need no input, or bring their own.
    assert commands - named == {"demo", "local", "settings"}


def test_guide_shows_this_table(tmp_path: Path) -> None:
    shown = dict(re.findall(r"^\| ([^|]+) \| (\d+) \|", GUIDE.read_text(encoding="utf-8"), re.M))
    assert shown == {name: str(row[-1]) for name, row in MISTAKES.items()}


def test_interrupt_is_a_word_and_a_status(tmp_path: Path) -> None:
    with mock.patch("waybill.cli.exports.connect", side_effect=KeyboardInterrupt):
        status, _, err = end_of(["types"], SERVICE, _nothing, tmp_path)
    assert (status, sentence(err)) == (130, "Interrupted.")


def test_defect_names_itself_and_shows_its_traceback_when_asked(tmp_path: Path) -> None:
    with mock.patch("waybill.cli.exports.connect", side_effect=KeyError("x")):
        status, _, err = end_of(["types"], SERVICE, _nothing, tmp_path)
        debug = end_of(["--debug", "types"], SERVICE, _nothing, tmp_path)
    assert status == debug[0] == 70
    assert "KeyError" in err
    assert "Traceback" not in err
    assert "Traceback" in debug[2]


@pytest.fixture
def silent_service() -> Iterator[str]:
    """Accepts connections and says what is no HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        import threading

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        client.recv(4096)
                        client.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_address_where_something_else_answers_is_told(tmp_path: Path, silent_service: str) -> None:
    status, _, err = end_of(
        ["types", "--url", silent_service, "--token", "t"], {}, _nothing, tmp_path
    )
    assert (status, silent_service in err) == (75, True)


def _write_guide() -> None:
    import tempfile

    lines = []
    for name, row in MISTAKES.items():
        with tempfile.TemporaryDirectory() as folder:
            status, _, err = end_of(*row[:3], Path(folder))
        said = sentence(err).replace(folder, "…")
        lines.append(f"| {name} | {status} | {said} |")
    GUIDE.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write_guide()
