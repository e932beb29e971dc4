"""docs/api.md, docs/client.md and docs/authentication.md say what is so, and their examples run."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import sys
import textwrap
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import typer
from fastapi import FastAPI

from waybill.api.auth import current_principal
from waybill.api.jwt_settings import JwtSettings
from waybill.api.problem_examples import problem_examples
from waybill.api.request_schemas import ExportBody
from waybill.catalog import Catalog
from waybill.catalog.toml import parse_catalog
from waybill.cli import exits
from waybill.cli.app import app as command_line
from waybill.client import AsyncExportClient, ExportClient, errors
from waybill.client.calls import RequestOptions
from waybill.config import Settings
from waybill.web.pages import install

PACKAGE = Path(__file__).parents[3]
DOCS = PACKAGE.parents[1] / "docs"
API = (DOCS / "api.md").read_text(encoding="utf-8")
CLIENT = (DOCS / "client.md").read_text(encoding="utf-8")
AUTHENTICATION = (DOCS / "authentication.md").read_text(encoding="utf-8")


def block(text: str, kind: str) -> str:
    found = re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, f"{len(found)} blocks of {kind}"
    return str(found[0])


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    """With the pages, whose one operation is an operation like the others."""
    install(app)
    return app


@pytest.fixture
def catalog() -> Catalog:
    return parse_catalog(
        '[exports.users]\ntable = "users"\nkey = "id"\nsince = "created_at"\n'
        'filters = ["country", { name = "birth_date", type = "date" },'
        ' { name = "age", type = "integer", column = "id" }]\n'
    )


# -- docs/api.md --------------------------------------------------------------------------------


async def test_every_operation_is_listed_and_no_other(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    served = {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item
        if method != "head"
    }
    table = API[API.index("## Operations") : API.index("## Requesting")]
    assert set(re.findall(r"`((?:GET|POST|DELETE|PUT) /[^`]*)`", table)) == served


def test_every_problem_is_listed_with_its_status() -> None:
    table = API[API.index("| code | status |") : API.index("An export that *fails*")]
    listed = {
        (code, int(status))
        for codes, statuses in re.findall(r"^\| (`.*?) \| ([\d, ]+) \|", table, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", codes)
        for status in statuses.split(", ")
    }
    known = {(code, status) for status in range(400, 600) for code in problem_examples(status)}
    framework = {("not_found", 404), ("method_not_allowed", 405)}
    # The two of the framework share a line, so each is listed with both statuses.
    shared = {("not_found", 405), ("method_not_allowed", 404)}
    assert listed - shared == known | framework


async def test_every_documented_header_is_explained(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    named = set()
    for item in document["paths"].values():
        for operation in item.values():
            named |= {p["name"] for p in operation.get("parameters", ()) if p["in"] == "header"}
            for response in operation["responses"].values():
                named |= set(response.get("headers", ()))
    explained = API[API.index("## Headers") : API.index("## Limits")].lower()
    assert {name for name in named if f"`{name.lower()}`" not in explained} == set()


def test_limits_are_the_defaults() -> None:
    fields = Settings.model_fields
    limits = API[API.index("## Limits") : API.index("## Standards")]
    for name in re.findall(r"WAYBILL_([A-Z_]+)", limits):
        assert name.lower() in fields
    for said, name in (
        ("64 KiB", "max_body_bytes"), ("5", "quota_per_day"), ("5,000", "max_watchers"),
        ("60 s", "presign_seconds"), ("7 days", "result_ttl_days"),
    ):  # fmt: skip
        default = fields[name].default
        number = default / 1024 if name == "max_body_bytes" else default
        assert f"| {said} | `WAYBILL_{name.upper()}`" in limits
        assert f"{number:,g}" == said.split()[0]


def test_request_of_the_guide_fits() -> None:
    body = ExportBody.model_validate_json(block(API, "json request"))
    assert set(body.model_fields_set) == set(ExportBody.model_fields)


def test_places_where_standards_are_met_exist() -> None:
    table = API[API.index("| standard |") :]
    paths = re.findall(r"`((?:[a-z_0-9]+/)*[a-z_0-9]+\.py)`", table)
    assert len(paths) > 40
    roots = [PACKAGE / "src" / "waybill", PACKAGE / "tests", PACKAGE / "tests/integration/api"]
    assert [path for path in paths if not any((root / path).is_file() for root in roots)] == []


@pytest.mark.usefixtures("worker")
async def test_script_of_the_guide_runs(server: httpx.AsyncClient, tmp_path: Path) -> None:
    script = API[API.index("## From request to file") : API.index("## Operations")]
    process = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", block(script, "sh"),
        cwd=tmp_path,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "WAYBILL": str(server.base_url).rstrip("/"),
            "TOKEN": "test-token",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    assert "event: finished" in output
    assert "users.csv: 2000 rows" in output


async def test_nothing_about_exports_is_kept_by_browsers_or_proxies(
    api: httpx.AsyncClient, add_job: Any
) -> None:
    job = await add_job(b"data")
    answers = [
        await api.get(path)
        for path in (
            "/api/exports",
            f"/api/exports/{job.id}",
            f"/api/exports/{job.id}/manifest",
            f"/api/exports/{job.id}/download",
            f"/api/exports/{job.id}/download?via=stream",
            f"/api/exports/{job.id}/events",
            f"/api/exports/{uuid4()}",
            "/api/exports/nonsense",
            "/api/nowhere",
            "/api/audit",
            "/api/admin/exports",
        )
    ]
    answers.append(await api.post("/api/users/export"))
    answers.append(await api.post("/api/users/export", content=b"x" * 100_000))
    answers.append(await api.delete(f"/api/exports/{job.id}"))
    answers.append(await api.get("/api/exports", headers={"Authorization": "Bearer wrong"}))
    for answer in answers:
        assert "no-store" in answer.headers["cache-control"].split(", "), answer.url
        assert answer.headers["x-content-type-options"] == "nosniff", answer.url


# -- docs/client.md -----------------------------------------------------------------------------


async def run(source: str, **names: Any) -> dict[str, Any]:
    """Run an example: in a thread, or in this loop when it awaits."""
    code = compile(source, "docs", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        await eval(code, names)  # noqa: S307 - the guide's own example
    else:
        await asyncio.to_thread(exec, code, names)
    return names


@pytest.mark.usefixtures("worker")
async def test_examples_of_the_client_run(
    server: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    url = str(server.base_url).rstrip("/")
    for kind in ("sync", "async", "errors", "admin"):
        source = block(CLIENT, f"python {kind}").replace("http://127.0.0.1:8000", url)
        await run(source, token="test-token")
    printed = capsys.readouterr().out
    assert "users.csv: 2000 rows" in printed
    assert "completed 100.0" in printed
    assert "('csv', " in printed
    for name in ("users.csv", "users.ndjson"):
        assert (tmp_path / name).stat().st_size > 10_000
    (tmp_path / "users.ndjson").unlink()
    await run(
        block(CLIENT, "python stream").replace("http://127.0.0.1:8000", url), token="test-token"
    )
    assert (tmp_path / "users.ndjson").read_bytes().count(b"\n") == 2_000
    with ExportClient(url, "test-token") as client:
        names = await run(block(CLIENT, "python request"), client=client)
    assert names["job"].status == "queued"


def test_every_method_option_and_error_of_the_client_is_explained() -> None:
    for client in (ExportClient, AsyncExportClient):
        methods = {name for name in vars(client) if not name.startswith("_")}
        for name in methods - {"close", "aclose"}:
            assert f"`{name}(" in CLIENT, name
    request = block(CLIENT, "python request")
    for option in RequestOptions.__annotations__:
        assert f"{option}=" in request, option
    kinds = {name for name, each in vars(errors).items() if isinstance(each, type)} - {
        "Any", "Mapping", "HTTPStatus", "WaybillError", "StorageUnreachable",
    }  # fmt: skip
    assert {name for name in kinds if f"`{name}`" not in CLIENT} == set()


def test_exit_statuses_are_those_of_the_command() -> None:
    listed = set(re.findall(r"^\| (\d+) \|", CLIENT, re.MULTILINE))
    statuses = {value for name, value in vars(exits).items() if name.startswith("EXIT_")}
    assert listed == {"0", *map(str, statuses)}


def test_command_lines_use_options_that_exist() -> None:
    command = typer.main.get_command(command_line).commands["export"]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    lines = re.findall(r"^waybill export .*$", CLIENT, re.MULTILINE)
    assert len(lines) > 4
    used = {option for line in lines for option in re.findall(r"(?<= )--?[a-z][a-z-]*", line)}
    assert used - known == set()


# -- docs/authentication.md -----------------------------------------------------------------------


def test_every_setting_of_tokens_is_explained() -> None:
    explained = set(re.findall(r"^\| `WAYBILL_JWT_([A-Z_]+)` \|", AUTHENTICATION, re.MULTILINE))
    assert explained == {name.upper() for name in JwtSettings.model_fields}


async def test_example_of_embedding_runs(
    settings: Settings, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waybill.config.load_settings", lambda: settings)
    monkeypatch.setattr("waybill.catalog.load", lambda _name: catalog)
    app = (await run(textwrap.dedent(block(AUTHENTICATION, "python embed"))))["app"]
    assert current_principal in app.dependency_overrides
    async with (
        app.state.services,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://waybill.test"
        ) as client,
    ):
        assert (await client.get("/api/exports")).status_code == 401
        client.cookies.set("session", "5e9c")
        accepted = await client.post("/api/users/export")
        assert accepted.status_code == 202
        job = await app.state.services.repository.find(accepted.json()["id"])
        assert (job.requested_by, job.tenant) == ("ann", "acme")
        assert (await client.get("/api/audit")).status_code == 403
