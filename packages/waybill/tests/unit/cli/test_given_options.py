"""What is given on the command line arrives where it is used."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import jwt
import pytest
import typer
from celery import Celery

import waybill
from waybill.celery import _advice
from waybill.cli.app import app
from waybill.errors import ConfigurationError
from waybill.formats import ENCODERS, missing
from waybill.local.demo import Demonstrated
from waybill.worker import main as worker
from waybill.worker.main import run_worker

from ...logged import logged
from .test_mistakes import _nothing, end_of

SECRET = "a secret that is long enough to sign with"
SETTINGS = {
    "WAYBILL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "WAYBILL_REDIS_URL": "redis://127.0.0.1:1/0",
    "WAYBILL_S3_BUCKET": "none",
    "WAYBILL_SOURCE_DSN": "postgresql://nobody@127.0.0.1:1/none",
}


@pytest.mark.parametrize(
    ("arguments", "started", "settings", "given"),
    [
        (
            ["api", "--host", "::1", "--port", "1234", "--metrics-port", "9"],
            "waybill.api.serve.serve",
            {"metrics_port": 9},
            {"host": "::1", "port": 1234},
        ),
        (
            ["worker", "--concurrency", "3", "--metrics-port", "0"],
            "waybill.worker.main.run_worker",
            {"worker_concurrency": 3, "metrics_port": 0, "forks": True},
            {},
        ),
        (
            ["scheduler", "--metrics-port", "9"],
            "waybill.worker.scheduler.run_scheduler",
            {"metrics_port": 9, "reads_sources": False},
            {},
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_process_starts_with_what_was_given(
    arguments: list[str],
    started: str,
    settings: dict[str, int | bool],
    given: dict[str, Any],
    tmp_path: Path,
) -> None:
    read = SimpleNamespace(pages=False)
    with (
        mock.patch("waybill.cli.processes.settings_to_start", return_value=read) as to_start,
        mock.patch(started) as start,
    ):
        assert end_of(arguments, {}, _nothing, tmp_path)[0] == 0
    assert to_start.call_args == mock.call(**settings)
    assert start.call_args == mock.call(read, **given)


def test_local_service_starts_with_what_was_given(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("postgresql://me:hunter2@127.0.0.1/x\n")
    arguments = [
        "local", "--catalog", "mine.toml", "--source-dsn-file", "dsn", "--host", "::1",
        "--port", "1234", "--concurrency", "3", "--data-dir", "there",
    ]  # fmt: skip
    with mock.patch("waybill.local.foreground.run_in_foreground") as start:
        assert end_of(arguments, {}, _nothing, tmp_path)[0] == 0
        asked = mock.patch("waybill.cli.source_dsn.typer.prompt", return_value="hunter3")
        with asked:
            secret = ["local", "--source-dsn", "postgresql://me@127.0.0.1/x", "--ask-password"]
            assert end_of(secret, {}, _nothing, tmp_path)[0] == 0
    first, second = (call.kwargs for call in start.call_args_list)
    del first["console"]
    assert first == {
        "catalog": "mine.toml",
        "source_dsn": "postgresql://me:hunter2@127.0.0.1/x",
        "host": "::1",
        "port": 1234,
        "concurrency": 3,
        "data_dir": Path("there"),
    }
    assert "password=hunter3" in second["source_dsn"]


def test_demo_starts_with_what_was_given(tmp_path: Path) -> None:
    arguments = ["demo", "--users", "7", "--format", "json", "--data-dir", "there"]
    done = Demonstrated("whole", Path("there") / "users.json")
    with mock.patch("waybill.local.demo.run_demo", return_value=done) as demo:
        assert end_of(arguments, {}, _nothing, tmp_path)[:2] == (0, "whole\n")
    given = demo.call_args.kwargs
    assert (given["users"], given["format"], given["data_dir"]) == (7, "json", Path("there"))


@pytest.mark.parametrize("verb", ["export", "demo"])
def test_formats_in_the_help_are_those_of_the_registry(verb: str) -> None:
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    (option,) = (each for each in command.params if "--format" in each.opts)
    *others, last = ENCODERS
    assert option.help == f"{', '.join(others)} or {last}."
    django = Path(waybill.__file__).parent / "django" / "exporting.py"
    assert f"format: {option.help}" in django.read_text(encoding="utf-8")


def test_missing_extra_is_said_by_the_worker_and_by_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing() is None
    monkeypatch.setattr(ENCODERS["parquet"], "needs", ("no_such_module",), raising=False)
    monkeypatch.setattr(ENCODERS["xlsx"], "needs", ("no_such_module",), raising=False)
    said = "parquet and xlsx are not installed here: pip install 'waybill[parquet,xlsx]'"
    lines = logged(monkeypatch, worker)
    with (
        mock.patch("waybill.worker.main.WorkerParts", side_effect=ConfigurationError("no more")),
        pytest.raises(ConfigurationError),
    ):
        run_worker(mock.Mock())
    (line,) = lines.entries
    assert line == {"event": "worker.formats_missing", "log_level": "warning", "problem": said}
    (tmp_path / "waybill.toml").write_text('[exports.users]\ntable = "shop.users"\nkey = "id"\n')
    with mock.patch("waybill.requests.check_formats.check_everything", return_value=[]):
        asked = ["check", "--dsn", "postgresql://me@127.0.0.1/x"]
        assert f"Not checked: {said}\n" in end_of(asked, {}, _nothing, tmp_path)[1]
    assert said in " ".join(_advice(Celery("theirs", set_as_current=False), 60.0))


def test_capacity_counts_the_share_and_the_places_that_were_given(tmp_path: Path) -> None:
    load = ["--rate", "60/min", "--mix", "users.csv=1@2", "--slo", "3s", "--json"]

    def workers(*arguments: str) -> int:
        status, out, said = end_of([*arguments, *load], {}, _nothing, tmp_path)
        assert status == 0, said
        found: int = json.loads(out)["workers"]
        return found

    assert workers("capacity", "--concurrency", "1") > workers("capacity", "--concurrency", "9")
    assert workers("capacity", "--share", "0.999") > workers("capacity", "--share", "0.5")


def test_token_has_the_scopes_and_the_life_that_were_given(tmp_path: Path) -> None:
    environment = {"WAYBILL_JWT_SECRETS": SECRET, "WAYBILL_JWT_TENANT_CLAIM": "org"}
    arguments = [
        "token", "ann", "--scope", "exports:read", "--scope", "exports:admin", "--tenant", "acme",
        "--seconds", "90",
    ]  # fmt: skip
    status, out, said = end_of(arguments, environment, _nothing, tmp_path)
    assert status == 0, said
    claims = jwt.decode(out.strip(), SECRET, ["HS256"])
    assert (claims["sub"], claims["org"]) == ("ann", "acme")
    assert claims["scope"] == "exports:read exports:admin"
    assert claims["exp"] - claims["iat"] == 90


def test_settings_are_written_as_the_guide_has_them(tmp_path: Path) -> None:
    status, out, _ = end_of(["settings", "--markdown"], {}, _nothing, tmp_path)
    assert (status, "| `WAYBILL_DATABASE_URL` |" in out) == (0, True)


def test_grants_name_what_the_source_role_reads(tmp_path: Path) -> None:
    (tmp_path / "waybill.toml").write_text('[exports.users]\ntable = "shop.users"\nkey = "id"\n')
    settings = {**SETTINGS, "WAYBILL_CATALOG": "waybill.toml"}
    alone = end_of(["grants", "exporter"], settings, _nothing, tmp_path)
    both = end_of(["grants", "exporter", "--source-role", "reader"], settings, _nothing, tmp_path)
    assert alone[0] == both[0] == 0, both
    assert both[1].startswith(alone[1].rstrip("\n"))
    added = both[1].removeprefix(alone[1].rstrip("\n"))
    assert "reader" in added
    assert "shop" in added
    assert "reader" not in alone[1]
