"""The demo, as somebody meets it who has nothing but a terminal."""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

PROMISE = r"waybill demo: 300 users, csv, \d+\.\d s, verified, \.waybill/users\.csv"


def environment(**more: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WAYBILL_")}
    # Where make started it, nothing is activated.
    return {**inherited, "PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(sys.path), **more}


def demo(folder: Path, **streams: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "waybill", "demo", "--users", "300"],
        cwd=folder,
        # Not even root can write there: a home that is read-only.
        env=environment(TERM="dumb", LANG="C", HOME="/proc"),
        stdin=subprocess.DEVNULL,
        **streams,
    )


def all_of(descriptor: int) -> str:
    said = b""
    while True:
        try:
            more = os.read(descriptor, 65_536)
        except OSError:  # Linux says so when the last writer has closed its end
            more = b""
        if not more:
            os.close(descriptor)
            return said.decode()
        said += more


def test_demo_twice_keeps_its_promise_on_a_small_dumb_terminal_and_in_a_file(
    tmp_path: Path,
) -> None:
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 40, 0, 0))
    with demo(tmp_path, stdout=theirs, stderr=theirs) as first:
        os.close(theirs)
        shown = all_of(ours)
    assert first.returncode == 0, shown
    assert "\x1b" not in shown
    assert re.search(PROMISE, shown), shown
    progress, _, following = shown.partition("Next:")
    assert max(map(len, progress.replace("\r\n", "\n").split("waybill demo:")[0].split("\n"))) <= 40
    commands = re.findall(r"^  (\S+ \w+.*?)\r?$", following, re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["verify", "local", "init"]

    log, errors = tmp_path / "log", tmp_path / "errors"
    with (
        log.open("wb") as out,
        errors.open("wb") as err,
        demo(tmp_path, stdout=out.fileno(), stderr=err.fileno()) as second,
    ):
        pass
    assert second.returncode == 0, errors.read_text()
    # Whoever reads the output alone gets the promise alone.
    assert re.fullmatch(PROMISE + "\n", log.read_text())
    assert "\x1b" not in errors.read_text()
    assert "\r" not in errors.read_text()
    # What it says to try can be typed there as it stands.
    tried = subprocess.run(
        ["sh", "-c", commands[0]],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert tried.returncode == 0, tried.stderr
    assert "300 rows" in tried.stdout
