"""The server as a process of its own, asked by the protocol's client."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from adrkit import __version__
from adrkit.errors import AdrkitError, FileChanged, InvalidInput, RecordExists
from adrkit.previews import MOST
from adrkit.testing import GitProject, house

pytest.importorskip("mcp", reason="needs the extra adrkit[mcp]")

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from adrkit.mcp_server import RecordTools

READING = {"list", "show", "why", "check"}
PREVIEWS = {"preview_new", "preview_status", "preview_supersede"}


async def ask(project: GitProject, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "adrkit", "-C", str(project.root), "mcp"]
    )
    async with stdio_client(server) as (reader, writer), ClientSession(reader, writer) as session:
        await session.initialize()
        answers: list[Any] = [{tool.name for tool in (await session.list_tools()).tools}]
        for name, arguments in calls:
            answers.append(await session.call_tool(name, arguments))
        return answers


def value(answer: Any) -> Any:
    assert not answer.is_error, answer
    return json.loads(answer.content[0].text)


@pytest.mark.asyncio
async def test_tools_answer_over_stdio(project: GitProject) -> None:
    block = "\n```adr-check\n[[path-exists]]\npath = 'src/gone.py'\n```\n"
    project.write("docs/adr/0001-use-queues.md", house(1) + block)
    project.record(2, "use-logs", "Proposed")
    project.write("src/app.py", "")
    tools, listed, shown, why, check, missing, outside = await ask(
        project,
        ("list", {"status": "accepted"}),
        ("show", {"record": "1"}),
        ("why", {"file": "src/app.py"}),
        ("check", {}),
        ("show", {"record": "9"}),
        ("why", {"file": "../../etc/passwd"}),
    )
    assert tools == READING | PREVIEWS | {"apply"}
    assert [record["label"] for record in value(listed)["records"]] == ["ADR-0001"]
    assert value(shown)["source"].startswith("# ADR-0001: Use Queues")
    assert [found["record"] for found in value(why)["governed_by"]] == ["ADR-0001", "ADR-0002"]
    (result,) = value(check)["results"]
    assert (result["record"], result["kind"]) == ("ADR-0001", "path-exists")
    assert result["verdict"] in ("violated", "missing")
    assert missing.is_error
    assert "`adr list` shows" in missing.content[0].text
    assert outside.is_error


@pytest.mark.asyncio
async def test_server_says_its_version_and_which_of_its_tools_write(project: GitProject) -> None:
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "adrkit", "-C", str(project.root), "mcp"]
    )
    async with stdio_client(server) as (reader, writer), ClientSession(reader, writer) as session:
        told = await session.initialize()
        tools = (await session.list_tools()).tools
    assert (told.server_info.name, told.server_info.version) == ("adrkit", __version__)
    assert len(tools) == 8
    for tool in tools:
        assert tool.annotations is not None
        writes = tool.name == "apply"
        assert tool.annotations.read_only_hint is not writes
        assert tool.annotations.destructive_hint is writes
        assert tool.annotations.idempotent_hint is (tool.name in READING)


def bytes_of(project: GitProject) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(project.records.iterdir())}


@pytest.fixture
def tools(project: GitProject) -> RecordTools:
    project.record(1, "use-queues")
    project.record(2, "use-logs", "Proposed")
    return RecordTools(project.root)


def test_preview_writes_nothing_and_apply_just_what_it_has_shown(
    project: GitProject, tools: RecordTools
) -> None:
    before = bytes_of(project)
    shown = tools.preview_status("2", "accepted", reason="It works")
    assert bytes_of(project) == before
    (change,) = shown["changes"]
    assert change["path"] == "docs/adr/0002-use-logs.md"
    assert "-**Status:** Proposed" in change["diff"]
    assert "+**Status:** Accepted" in change["diff"]
    assert "+**Reason:** Accepted - It works" in change["diff"]
    assert tools.apply(shown["token"]) == {"written": ["docs/adr/0002-use-logs.md"]}
    after = bytes_of(project)
    assert after.pop("0001-use-queues.md") == before["0001-use-queues.md"]
    assert b"**Status:** Accepted" in after["0002-use-logs.md"]
    with pytest.raises(InvalidInput):  # good for one call
        tools.apply(shown["token"])


def test_new_record_that_supersedes_is_one_change(project: GitProject, tools: RecordTools) -> None:
    shown = tools.preview_new("Use Streams", "Accepted", ["1"], reason="faster")
    assert [c["path"] for c in shown["changes"]] == [
        "docs/adr/0003-use-streams.md", "docs/adr/0001-use-queues.md",
    ]  # fmt: skip
    assert "+# ADR-0003: Use Streams" in shown["changes"][0]["diff"]
    assert "--- /dev/null" in shown["changes"][0]["diff"]
    assert not (project.records / "0003-use-streams.md").exists()
    tools.apply(shown["token"])
    assert b"Superseded" in (project.records / "0001-use-queues.md").read_bytes()
    assert b"ADR-0001" in (project.records / "0003-use-streams.md").read_bytes()


def test_superseding_links_both(project: GitProject, tools: RecordTools) -> None:
    tools.apply(tools.preview_status("2", "Accepted")["token"])
    shown = tools.preview_supersede("1", "2", "faster")
    assert len(shown["changes"]) == 2
    tools.apply(shown["token"])
    assert b"Superseded by" in (project.records / "0001-use-queues.md").read_bytes()


def test_file_that_changed_since_the_preview_is_left_alone(
    project: GitProject, tools: RecordTools
) -> None:
    shown = tools.preview_status("2", "accepted")
    project.write("docs/adr/0002-use-logs.md", house(2, "Use Logs", "Proposed") + "\nMore.\n")
    before = bytes_of(project)
    with pytest.raises(FileChanged):
        tools.apply(shown["token"])
    assert bytes_of(project) == before
    first, second = tools.preview_new("Use Streams"), tools.preview_new("Use streams")
    tools.apply(first["token"])
    with pytest.raises(RecordExists):
        tools.apply(second["token"])


def test_no_token_but_a_preview_s_writes(project: GitProject, tools: RecordTools) -> None:
    before = bytes_of(project)
    shown = tools.preview_status("2", "accepted")
    other = RecordTools(project.root).preview_status("2", "accepted")
    assert other["token"] != shown["token"]
    different = tools.preview_status("2", "rejected")
    assert different["token"] != shown["token"]
    for token in ("", "x", shown["token"][:-1], shown["token"].upper() + "0", other["token"]):
        with pytest.raises(InvalidInput):
            tools.apply(token)
    assert bytes_of(project) == before


def test_previews_refuse_what_the_commands_refuse(project: GitProject, tools: RecordTools) -> None:
    before = bytes_of(project)
    for call in (
        lambda: tools.preview_status("1", "rejected"),
        lambda: tools.preview_status("1", "Superseded"),
        lambda: tools.preview_supersede("1", "2"),  # a proposal does not replace a decision
        lambda: tools.preview_new("a\nb"),
        lambda: tools.preview_new("Use X", "Great"),
        lambda: tools.preview_new("Use X", supersedes=["9"]),
    ):
        with pytest.raises(AdrkitError):
            call()
    assert bytes_of(project) == before


def test_the_oldest_of_many_previews_is_forgotten(tools: RecordTools) -> None:
    first = tools.preview_status("2", "accepted")["token"]
    for at in range(MOST):
        tools.preview_new(f"Use X{at}")
    with pytest.raises(InvalidInput):
        tools.apply(first)


@pytest.mark.asyncio
async def test_writing_over_stdio(project: GitProject) -> None:
    project.record(2, "use-logs", "Proposed")
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "adrkit", "-C", str(project.root), "mcp"]
    )
    async with stdio_client(server) as (reader, writer), ClientSession(reader, writer) as session:
        await session.initialize()
        wrong = await session.call_tool("apply", {"token": "x"})
        shown = value(
            await session.call_tool("preview_status", {"record": "2", "status": "accepted"})
        )
        value(await session.call_tool("apply", {"token": shown["token"]}))
    assert wrong.is_error
    assert "preview" in wrong.content[0].text
    assert b"**Status:** Accepted" in (project.records / "0002-use-logs.md").read_bytes()
