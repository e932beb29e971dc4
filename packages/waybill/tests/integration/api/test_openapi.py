"""The OpenAPI document is true: schemathesis holds the service to it, with every check it has."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from waybill.api.problem_examples import problem_examples
from waybill.api.problems import STATUS_OF
from waybill.config import Settings

EXAMPLES = 5
SEED = 20261124


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Streams that end soon, and room to ask for much."""
    return settings.model_copy(
        update={
            "event_stream_seconds": 0.2,
            # The document tells how many items a body may have, not how many bytes they may be.
            "max_body_bytes": 4 * 1024 * 1024,
            "quota_per_day": 50,
            "requests_per_second": 10_000.0,
            "requests_burst": 10_000,
        }
    )


async def run_schemathesis(url: str, folder: Path, *arguments: str) -> str:
    """Run it as a person would; returns what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json",
        "--checks", "all",
        "--max-examples", str(EXAMPLES),
        "--seed", str(SEED),
        "--generation-database", "none",
        "--request-timeout", "30",
        "--warnings", "off",
        "--continue-on-failure",
        "--no-color",
        *arguments,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    return text


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
async def test_service_keeps_its_document_for_the_authenticated(
    server: httpx.AsyncClient, tmp_path: Path, add_job: Any
) -> None:
    token = server.headers["Authorization"]
    printed = await run_schemathesis(
        str(server.base_url).rstrip("/"), tmp_path,
        "--phases", "examples,coverage,fuzzing,stateful",
        "--mode", "all",
        "--header", f"Authorization: {token}",
    )  # fmt: skip
    assert re.search(r"Stateful \(in", printed)


@pytest.mark.slow
async def test_service_keeps_its_document_for_strangers(
    server: httpx.AsyncClient, tmp_path: Path
) -> None:
    printed = await run_schemathesis(
        str(server.base_url).rstrip("/"), tmp_path,
        "--phases", "examples,coverage,fuzzing,stateful",
        "--mode", "all",
    )  # fmt: skip
    assert re.search(r"Coverage \(in", printed)


async def test_every_error_has_an_example(api: httpx.AsyncClient) -> None:
    for error, status in STATUS_OF.items():
        assert error.code in problem_examples(status), f"{error.__name__} has no example"


async def test_every_document_has_an_example_that_fits(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    answered = {
        reference.rpartition("/")[2]
        for item in document["paths"].values()
        for operation in item.values()
        for status, response in operation["responses"].items()
        if int(status) < 400
        for content in response.get("content", {}).values()
        for reference in re.findall(r"#/components/schemas/\w+", json.dumps(content["schema"]))
    }
    assert len(answered) >= 9
    for name in answered:
        (example,) = schemas[name]["examples"]
        wanted = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.validate(example, wanted)


async def test_every_operation_is_described(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    open_to_all = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["description"], where
            if "security" not in operation:
                open_to_all.add(path)
                continue
            assert {"401", "403", "500", "503"} <= operation["responses"].keys(), where
            for status, response in operation["responses"].items():
                if int(status) >= 400 and method != "head":
                    problem = response["content"]["application/problem+json"]
                    assert problem["examples"], f"{where} {status}"
    assert open_to_all == {"/healthz", "/readyz"}
    assert "HTTPValidationError" not in document["components"]["schemas"]
