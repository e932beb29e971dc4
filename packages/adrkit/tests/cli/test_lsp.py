"""The server as a process of its own, spoken to in JSON-RPC over its standard streams."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adrkit.testing import GitProject, house

pytest.importorskip("pygls", reason="needs the extra adrkit[lsp]")


class Editor:
    """The client's half of the protocol (LSP 3.17, base protocol), just enough of it."""

    def __init__(self, process: subprocess.Popen[bytes], root: Path) -> None:
        self.process, self.root = process, root
        self._last = 0
        self._versions: dict[str, int] = {}
        self.notified: list[dict[str, Any]] = []

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while (line := self.process.stdout.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, "the server ended"
        message: dict[str, Any] = json.loads(self.process.stdout.read(length))
        return message

    def request(self, method: str, params: Any) -> Any:
        self._last += 1
        self._send({"id": self._last, "method": method, "params": params})
        while (message := self._receive()).get("id") != self._last:
            self.notified.append(message)
        assert "error" not in message, message
        return message["result"]

    def notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def uri(self, path: str) -> str:
        return (self.root / path).as_uri()

    def open(self, path: str, text: str | None = None) -> None:
        held = text if text is not None else (self.root / path).read_bytes().decode()
        document = {"uri": self.uri(path), "languageId": "markdown", "version": 1, "text": held}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def change(self, path: str, text: str) -> None:
        version = self._versions[path] = self._versions.get(path, 1) + 1
        document = {"uri": self.uri(path), "version": version}
        self.notify(
            "textDocument/didChange",
            {"textDocument": document, "contentChanges": [{"text": text}]},
        )

    def diagnostics(self, path: str) -> list[dict[str, Any]]:
        """Those of the next publication for ``path``."""
        uri = self.uri(path)
        while True:
            for message in self.notified:
                if message.get("method") == "textDocument/publishDiagnostics":
                    self.notified.remove(message)
                    if message["params"]["uri"] == uri:
                        found: list[dict[str, Any]] = message["params"]["diagnostics"]
                        return found
            self.notified.append(self._receive())

    def at(self, path: str, line: int, character: int) -> dict[str, Any]:
        return {
            "textDocument": {"uri": self.uri(path)},
            "position": {"line": line, "character": character},
        }

    def completions(self, path: str, line: int, character: int) -> list[dict[str, Any]]:
        found = self.request("textDocument/completion", self.at(path, line, character))
        return [] if found is None else list(found["items"])


@pytest.fixture
def editor(project: GitProject) -> Iterator[Editor]:
    with subprocess.Popen(
        [sys.executable, "-m", "adrkit", "-C", str(project.root), "lsp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        editor = Editor(process, project.root)
        begun = editor.request(
            "initialize",
            {"processId": None, "rootUri": project.root.as_uri(), "capabilities": {}},
        )
        assert begun["serverInfo"]["name"] == "adrkit"
        assert begun["capabilities"]["completionProvider"]
        editor.notify("initialized", {})
        yield editor
        editor.request("shutdown", None)
        editor.notify("exit", None)
        assert process.wait(30) == 0


NAME = "docs/adr/0001-use-queues.md"
CHECK = "\n```adr-check\n[[path-exists]]\npath = 'src/gone.py'\n```\n"


def found_at(text: str, part: str) -> tuple[int, int]:
    """Line and UTF-16 column of ``part``, from 0."""
    before = text[: text.index(part)]
    return before.count("\n"), len(before.rpartition("\n")[2].encode("utf-16-le")) // 2


def test_remarks_come_with_opening_typing_and_saving(project: GitProject, editor: Editor) -> None:
    project.write("src/app.py", "")
    text = house(1).replace("Accepted", "accepted") + CHECK
    path = project.write(NAME, text)
    editor.open(NAME)
    first = editor.diagnostics(NAME)
    by_code = {item["code"]: item for item in first}
    spelling = by_code["ADR206"]
    line, column = found_at(text, "accepted")
    assert spelling["range"]["start"] == {"line": line, "character": column}
    assert (spelling["source"], spelling["severity"]) == ("adr lint", 1)
    broken = by_code["check-path-exists"]
    assert (broken["source"], broken["range"]["start"]["line"]) == (
        "adr check",
        found_at(text, "[[path-exists]]")[0],
    )
    # While typing, what rests on other files stays at its line; what is mended is gone at once.
    typed = text.replace("accepted", "Accepted").replace("## Decision", "\n\n\n## Decision")
    editor.change(NAME, typed)
    second = {item["code"]: item for item in editor.diagnostics(NAME)}
    assert "ADR206" not in second
    assert (
        second["check-path-exists"]["range"]["start"]["line"]
        == broken["range"]["start"]["line"] + 3
    )
    project.write("src/gone.py", "")
    path.write_text(typed)
    editor.notify("textDocument/didSave", {"textDocument": {"uri": editor.uri(NAME)}})
    assert "check-path-exists" not in {item["code"] for item in editor.diagnostics(NAME)}
    editor.notify("textDocument/didClose", {"textDocument": {"uri": editor.uri(NAME)}})
    assert editor.diagnostics(NAME) == []
    # A file that is not saved yet: its title's number is taken.
    editor.open("docs/adr/0002-use-logs.md", house(1, "Use Logs"))
    found = {item["code"] for item in editor.diagnostics("docs/adr/0002-use-logs.md")}
    assert "ADR106" in found


def test_quick_fix_mends_its_finding_and_fix_all_the_rest(
    project: GitProject, editor: Editor
) -> None:
    text = house(1).replace("Accepted", "accepted").replace("2026-01-31", "2026/01/31")
    project.write(NAME, text)
    editor.open(NAME)
    (spelling,) = [item for item in editor.diagnostics(NAME) if item["code"] == "ADR206"]
    asked = {
        "textDocument": {"uri": editor.uri(NAME)},
        "range": spelling["range"],
        "context": {"diagnostics": [spelling]},
    }
    fixes = editor.request("textDocument/codeAction", asked)
    assert [fix["kind"] for fix in fixes] == ["quickfix", "source.fixAll"]
    (edit,) = fixes[0]["edit"]["changes"][editor.uri(NAME)]
    assert (edit["newText"], edit["range"]) == ("Accepted", spelling["range"])
    (whole,) = fixes[1]["edit"]["changes"][editor.uri(NAME)]
    assert whole["newText"] == house(1)
    only = {**asked, "context": {"diagnostics": [], "only": ["source"]}}
    assert [fix["kind"] for fix in editor.request("textDocument/codeAction", only)] == [
        "source.fixAll"
    ]


def test_path_that_git_saw_move_is_offered(project: GitProject, editor: Editor) -> None:
    project.write("src/app.py", "x = 1\n" * 20)
    text = house(1, status="Proposed")  # an accepted one keeps its words, and is followed
    project.write(NAME, text.replace("`src/app.py`", "🚀 `src/app.py`"))
    project.commit()
    (project.root / "lib").mkdir()
    project("mv", "src/app.py", "lib/app.py")
    project.commit()
    editor.open(NAME)
    (missing,) = [item for item in editor.diagnostics(NAME) if item["code"] == "ADR602"]
    asked = {
        "textDocument": {"uri": editor.uri(NAME)},
        "range": missing["range"],
        "context": {"diagnostics": [missing], "only": ["quickfix"]},
    }
    (fix,) = editor.request("textDocument/codeAction", asked)
    (edit,) = fix["edit"]["changes"][editor.uri(NAME)]
    assert edit["newText"] == "lib/app.py"
    line, column = found_at((project.root / NAME).read_text(), "src/app.py")  # in UTF-16 units
    assert edit["range"]["start"] == {"line": line, "character": column}


def test_numbers_statuses_and_paths_are_completed(project: GitProject, editor: Editor) -> None:
    project.record(1, "use-queues")
    project.record(2, "use-logs", "Proposed")
    project.write("src/app.py", "# see ADR-\n")
    project.write("src/deep/more.py", "")
    text = (
        "# ADR-0003: T\n**Status:** Acc\nsee ADR-0 and [it](../../s\nand `src/\n\n"
        "```adr-check\npath = 'src/d\n```\n"
    )
    name = "docs/adr/0003-t.md"
    editor.open(name, text)

    def labels(path: str, line: int, character: int) -> list[str]:
        return [item["label"] for item in editor.completions(path, line, character)]

    assert "Accepted" in labels(name, 1, 15)
    assert "Superseded by ADR-0001" in labels(name, 1, 15)
    found = editor.completions(name, 2, 9)
    assert [item["label"] for item in found] == ["ADR-0001", "ADR-0002"]
    assert found[1]["detail"] == "Use Logs (Proposed)"
    assert found[0]["textEdit"]["range"]["start"] == {"line": 2, "character": 4}
    assert "../../src/" in labels(name, 2, len("see ADR-0 and [it](../../s"))
    assert labels(name, 3, len("and `src/")) == ["src/app.py", "src/deep/"]
    assert labels(name, 6, len("path = 'src/d")) == ["src/deep/"]
    editor.open("src/app.py")
    assert labels("src/app.py", 0, len("# see ADR-")) == ["ADR-0001", "ADR-0002"]
    # And a citation in code shows its record, and leads there.
    project.write("src/more.py", "x = 1  # as ADR-0001 says\n")
    editor.open("src/more.py")
    hover = editor.request("textDocument/hover", editor.at("src/more.py", 0, 14))
    assert hover["contents"]["value"].startswith("**ADR-0001: Use Queues**\n\nAccepted")
    place = editor.request("textDocument/definition", editor.at("src/more.py", 0, 14))
    assert place["uri"] == editor.uri(NAME)
    assert editor.request("textDocument/hover", editor.at("src/more.py", 0, 2)) is None


def test_settings_that_cannot_be_read_are_told_and_the_server_lives_on(
    project: GitProject, editor: Editor
) -> None:
    project.write("adrkit.toml", "directory = 7\n")
    project.record(1, "use-queues")
    editor.open(NAME)
    assert editor.request("textDocument/hover", editor.at(NAME, 0, 3)) is None
    told = [m for m in editor.notified if m.get("method") == "window/showMessage"]
    assert "directory" in told[0]["params"]["message"]
    (project.root / "adrkit.toml").unlink()
    editor.notify("textDocument/didSave", {"textDocument": {"uri": editor.uri(NAME)}})
    assert editor.diagnostics(NAME) is not None
