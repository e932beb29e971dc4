"""The server as a process of its own, asked by the protocol's client."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from adrkit import __version__
from adrkit.testing import GitProject, house

pytest.importorskip("mcp", reason="needs the extra adrkit[mcp]")

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


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
    assert tools == {"list", "show", "why", "check"}
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
async def test_server_says_its_version_and_that_its_tools_only_read(project: GitProject) -> None:
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "adrkit", "-C", str(project.root), "mcp"]
    )
    async with stdio_client(server) as (reader, writer), ClientSession(reader, writer) as session:
        told = await session.initialize()
        tools = (await session.list_tools()).tools
    assert (told.server_info.name, told.server_info.version) == ("adrkit", __version__)
    assert len(tools) == 4
    for tool in tools:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is True
        assert tool.annotations.destructive_hint is False
