"""A shell as a reader of the documents has it, in which their commands are typed in order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_END_SECONDS = 60.0
_BLOCK = re.compile(
    r"^(?:<!-- not walked: (?P<reason>.*?) -->\n+)?^(?P<fence>`{3,})sh(?P<info>[^\n]*)\n"
    r"(?P<text>.*?)^(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)

# What a reader does by hand: another terminal for what runs on, its address and token from what it
# prints, an eye on the status of an answer.
_HABITS = r"""
set -eEuo pipefail
trap 'echo "FAILED: $BASH_COMMAND"' ERR
curl() {
  case "$*" in
    *--fail-with-body* | *-sSfL*) command curl "$@" ;;
    *) command curl --fail-with-body "$@" ;;
  esac
}
look() {
  eval "$(python3 -c '
import json
here = json.load(open(".waybill/endpoint.json"))
print("URL=%s WAYBILL=%s TOKEN=%s" % (here["url"], here["url"], here["token"]))')"
}
waybill() {
  case "$1" in
    local)
      "$PROGRAM" "$@" >"$LOGS/local-$BASHPID.log" 2>&1 </dev/null &
      trap "kill $! 2>/dev/null; wait $! || true" EXIT
      until [ -s .waybill/endpoint.json ]; do
        kill -0 $! || { cat "$LOGS/local-$BASHPID.log"; return 1; }
        sleep 0.1
      done
      look ;;
    api) exec "$PROGRAM" "$@" --port "$PORT" >"$LOGS/$1.log" 2>&1 </dev/null ;;
    worker | scheduler) exec "$PROGRAM" "$@" >"$LOGS/$1.log" 2>&1 </dev/null ;;
    *) "$COMMAND" "$@" ;;
  esac
}
"""

_ANOTHER = """
unset ${{!WAYBILL_@}}
mkdir {folder} && ln -s ../.waybill ../waybill.toml {folder}/ && cd {folder}
look
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of commands.

    Attributes:
        line: where its fence is, from 1.
        reason: why nobody can type it here, if so.
        info: what stands behind ``sh``.
    """

    line: int
    text: str
    info: str
    reason: str | None


def blocks_of(document: str) -> list[Block]:
    """Return the blocks of commands of a document."""
    return [
        Block(
            document.count("\n", 0, found.start("fence")) + 1,
            found["text"],
            found["info"].strip(),
            found["reason"],
        )
        for found in _BLOCK.finditer(document)
    ]


class Terminal:
    """One bash that lives as long as the block. A context manager.

    Args:
        folder: where it begins.
        environment: all of its variables.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._count = 0

    def __enter__(self) -> Self:
        self._bash = subprocess.Popen(
            ["bash", "--norc"],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # What was started behind the prompt is ended as a terminal's end ends it, and waited for.
        try:
            self._type("set +e; kill $(jobs -p); wait; exit 0")
            self._bash.communicate(timeout=_END_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            os.killpg(self._bash.pid, signal.SIGKILL)
            self._bash.communicate()

    def walk(self, name: str, blocks: list[Block], *, stays: bool = False) -> str:
        """Type the blocks one after the other and return what was printed.

        Args:
            name: the document's, for messages.
            blocks: what to type.
            stays: in this very shell; else in a new one beside the same ``waybill local``, which
                knows nothing of the variables and files made before, and ends what it started.

        Raises:
            AssertionError: a command failed; says which, and shows everything before it.
        """
        self._count += 1
        script = Path(self._environment["LOGS"]) / f"{self._count}.sh"
        typed = [f"echo '::: {name}:{block.line}'\n{block.text}" for block in blocks]
        begin = "" if stays else _ANOTHER.format(folder=self._count)
        script.write_text(_HABITS + begin + "\n".join(typed), encoding="utf-8")
        command = f"source {script} </dev/null"
        self._type(f"{command}; set +eu" if stays else f"( {command} )")
        self._type('status=$?; echo; echo "::: end $status"')
        printed: list[str] = []
        assert self._bash.stdout is not None
        for line in self._bash.stdout:
            printed.append(line)
            if line.startswith("::: end "):
                break
        said = "".join(printed)
        assert said.endswith("::: end 0\n"), said
        return said

    def _type(self, line: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(line + "\n")
        self._bash.stdin.flush()
