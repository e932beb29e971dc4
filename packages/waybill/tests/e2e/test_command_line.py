"""The command line as people meet it: real processes, messages with a remedy, exit statuses."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from waybill.local.stack import LocalStack

_DEADLINE_SECONDS = 60.0


def waybill(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command; its settings come from ``environment`` alone."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WAYBILL_")}
    return subprocess.run(
        [sys.executable, "-m", "waybill", *arguments],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=_DEADLINE_SECONDS,
        check=False,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    "verb",
    [
        "api", "cancel", "capacity", "check", "demo", "doctor", "download", "export", "grants",
        "init", "list", "local", "migrate", "quota", "scheduler", "settings", "status", "token",
        "types", "verify", "worker",
    ],
)  # fmt: skip
def test_help_of_every_verb_says_what_it_does(tmp_path: Path, verb: str) -> None:
    result = waybill(verb, "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert f"Usage: waybill {verb}" in " ".join(result.stdout.split())


def test_every_verb_is_in_this_suite(tmp_path: Path) -> None:
    from waybill.cli.app import app

    known = set(test_help_of_every_verb_says_what_it_does.pytestmark[0].args[1])  # type: ignore[attr-defined]
    verbs = {
        command.name or command.callback.__name__
        for command in app.registered_commands
        if command.callback is not None
    }
    assert known == verbs


def test_init_of_a_dsn_that_does_not_answer_says_where_and_hides_the_password(
    tmp_path: Path,
) -> None:
    port = free_port()
    dsn = f"postgresql://me:hunter2@127.0.0.1:{port}/x"
    result = waybill("init", cwd=tmp_path, WAYBILL_SOURCE_DSN=dsn)
    assert result.returncode == 75
    assert f"127.0.0.1:{port}" in result.stderr
    assert "hunter2" not in result.stdout + result.stderr
    assert list(tmp_path.iterdir()) == []


def test_init_does_not_overwrite_a_catalog(tmp_path: Path, database: str) -> None:
    (tmp_path / "waybill.toml").write_text("# mine\n")
    result = waybill("init", cwd=tmp_path, WAYBILL_SOURCE_DSN=database)
    assert result.returncode == 73
    assert "--force" in result.stderr
    assert (tmp_path / "waybill.toml").read_text() == "# mine\n"


def test_init_writes_a_catalog_that_check_accepts(tmp_path: Path, database: str) -> None:
    assert waybill("init", cwd=tmp_path, WAYBILL_SOURCE_DSN=database).returncode == 0
    result = waybill("check", cwd=tmp_path, WAYBILL_SOURCE_DSN=database)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 errors" in result.stdout


def test_malformed_catalog_is_refused_with_line_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "waybill.toml").write_text("[exports.users\n")
    result = waybill("local", cwd=tmp_path)
    assert result.returncode == 78
    assert "waybill.toml:1:" in result.stderr
    assert not (tmp_path / ".waybill").exists()


def test_missing_settings_are_named(tmp_path: Path) -> None:
    result = waybill("api", cwd=tmp_path)
    assert result.returncode == 78
    assert "WAYBILL_DATABASE_URL" in result.stderr


def test_api_on_a_port_in_use_names_the_remedy(
    tmp_path: Path, database: str, local_stack: LocalStack
) -> None:
    (tmp_path / "waybill.toml").write_text('[exports.users]\ntable = "public.users"\n')
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = waybill(
            "api",
            "--port",
            str(port),
            cwd=tmp_path,
            **{
                **local_stack.as_environment(),
                "WAYBILL_DATABASE_URL": database,
                "WAYBILL_CATALOG": "waybill.toml",
                "WAYBILL_DEVELOPMENT_TOKEN": "token",
            },
        )
    assert result.returncode == 78
    assert f"Port {port}" in result.stderr
    assert "--port" in result.stderr


def test_export_without_a_service_says_how_to_get_one(tmp_path: Path) -> None:
    result = waybill("export", "users", cwd=tmp_path)
    assert result.returncode == 78
    assert "waybill local" in result.stderr


def test_export_writes_the_file_and_verify_proves_it(tmp_path: Path, running: Any) -> None:
    environment = {"WAYBILL_URL": running.url, "WAYBILL_TOKEN": running.token}
    result = waybill("export", "users", "-o", "users.csv", cwd=tmp_path, **environment)
    assert result.returncode == 0, result.stderr
    assert "verified" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "users.csv",
        "users.csv.manifest.json",
    ]
    assert waybill("verify", "users.csv", cwd=tmp_path).returncode == 0


def test_verbs_look_after_an_export(tmp_path: Path, running: Any) -> None:
    environment = {"WAYBILL_URL": running.url, "WAYBILL_TOKEN": running.token}

    def says(*arguments: str, status: int = 0) -> str:
        result = waybill(*arguments, cwd=tmp_path, **environment)
        assert result.returncode == status, result.stderr
        return result.stdout if status == 0 else result.stderr

    assert "users" in says("types")
    assert says("quota").split()[0] == "TYPES"
    piped = subprocess.run(
        [sys.executable, "-m", "waybill", "export", "users", "-f", "ndjson", "-o", "-"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        timeout=_DEADLINE_SECONDS,
        check=True,
    )
    assert list(tmp_path.iterdir()) == []
    export_id = json.loads(says("list", "--type", "users", "--limit", "1", "--json"))[0]["id"]
    assert export_id in says("list", "--status", "completed")
    assert f"waybill download {export_id}" in says("status", export_id)
    says("download", export_id)
    (file,) = tmp_path.glob("users*.ndjson")
    assert file.read_bytes() == piped.stdout
    # What is there already is not replaced, and another export is no part of this one.
    assert "--force" in says("download", export_id, status=73)
    assert "--format ndjson" in says("export", "users", "--resume", export_id, status=64)
    says("export", "users", "-f", "ndjson", "--resume", export_id)
    assert (tmp_path / "users.ndjson").read_bytes() == piped.stdout
    resumed = ("export", "users", "-f", "ndjson", "--resume", export_id)
    assert "--force" in says(*resumed, status=73)
    says(*resumed, "--force")
    assert says("cancel", export_id).split() == [f"{export_id}:", "deleted"]
    assert "deleted" in says("download", export_id, "--force", status=1)
    assert "status" in says("list", "--status", "done", status=64)


def test_output_that_is_full_or_closed_is_told(tmp_path: Path, running: Any) -> None:
    environment = {"WAYBILL_URL": running.url, "WAYBILL_TOKEN": running.token}
    for output, said in (("/dev/full", "No space left on device"), ("/dev/stdout | true", "left")):
        line = f"set -o pipefail; {sys.executable} -m waybill export users -o - > {output}"
        result = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
            capture_output=True,
            text=True,
            timeout=_DEADLINE_SECONDS,
            check=False,
        )
        assert result.returncode == 74, result.stderr
        assert said in result.stderr
        assert "--resume" in result.stderr
        assert "Traceback" not in result.stderr


def test_token_that_was_minted_is_accepted(tmp_path: Path) -> None:
    from waybill.api.jwt_settings import load_jwt_settings

    settings = {
        "WAYBILL_JWT_SECRETS": "a secret that is long enough to sign with",
        "WAYBILL_JWT_TENANT_CLAIM": "/organization/id",
        "WAYBILL_JWT_AUDIENCES": "waybill",
    }
    result = waybill("token", "ann", "--tenant", "acme", cwd=tmp_path, **settings)
    assert result.returncode == 0, result.stderr
    values = {k.removeprefix("WAYBILL_JWT_").lower(): v for k, v in settings.items()}
    authenticator = load_jwt_settings(**values).authenticator()
    identity = asyncio.run(authenticator.verify(result.stdout.strip()))
    assert (identity.subject, identity.tenant) == ("ann", "acme")
    assert identity.scopes == {"exports:request", "exports:read"}


def test_dry_run_tells_what_it_would_be_and_writes_nothing(tmp_path: Path, running: Any) -> None:
    environment = {"WAYBILL_URL": running.url, "WAYBILL_TOKEN": running.token}
    arguments = ["users", "-c", "id", "-c", "email=E-mail", "--dry-run"]
    result = waybill("export", *arguments, cwd=tmp_path, **environment)
    assert result.returncode == 0, result.stderr
    preview = json.loads(result.stdout)
    assert [column["header"] for column in preview["columns"]] == ["id", "E-mail"]
    assert preview["rows"] > 0
    assert list(tmp_path.iterdir()) == []


def test_service_out_of_reach_is_worth_another_try(tmp_path: Path) -> None:
    port = free_port()
    arguments = ["users", "--url", f"http://127.0.0.1:{port}", "--token", "x"]
    result = waybill("export", *arguments, cwd=tmp_path)
    assert result.returncode == 75
    assert f"http://127.0.0.1:{port}" in result.stderr


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[:-10], "truncated"),
        (lambda data: data + b"x", "longer"),
        (lambda data: data[:500] + b"!" + data[501:], "Part 1"),
    ],
)
def test_verify_of_a_damaged_file_fails_and_says_how(
    tmp_path: Path, running: Any, damage: Any, said: str
) -> None:
    environment = {"WAYBILL_URL": running.url, "WAYBILL_TOKEN": running.token}
    assert waybill("export", "users", cwd=tmp_path, **environment).returncode == 0
    file = tmp_path / "users.csv"
    file.write_bytes(damage(file.read_bytes()))
    result = waybill("verify", "users.csv", cwd=tmp_path)
    assert result.returncode == 1
    assert said in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["usres"], 1, "Known types: doubled, nobody, users"),
        (["users", "--format", "docx"], 64, "Known formats: csv"),
        (["users", "--option", "bom"], 64, "NAME=VALUE"),
        (["users", "--filter", "shoe_size=46"], 64, "no filter 'shoe_size'"),
        (["users", "-o", "missing/users.csv"], 73, "There is no folder"),
    ],
)
def test_export_of_what_does_not_exist_is_refused_with_what_does(
    tmp_path: Path, running: Any, arguments: list[str], status: int, said: str
) -> None:
    environment = {"WAYBILL_URL": running.url, "WAYBILL_TOKEN": running.token}
    result = waybill("export", *arguments, cwd=tmp_path, **environment)
    assert result.returncode == status
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_key_that_is_not_unique_fails_the_export_with_the_reason(
    tmp_path: Path, running: Any
) -> None:
    environment = {"WAYBILL_URL": running.url, "WAYBILL_TOKEN": running.token}
    result = waybill("export", "doubled", cwd=tmp_path, **environment)
    assert result.returncode == 1
    assert "key_not_unique" in result.stderr
    assert "does not identify its rows" in result.stderr


@pytest.mark.slow
def test_local_serves_until_told_to_stop_and_a_second_one_is_refused(tmp_path: Path) -> None:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WAYBILL_")}
    with subprocess.Popen(
        [sys.executable, "-m", "waybill", "local"],
        cwd=tmp_path,
        env={**inherited, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    ) as local:
        try:
            endpoint = tmp_path / ".waybill" / "endpoint.json"
            deadline = time.monotonic() + _DEADLINE_SECONDS
            while not endpoint.exists():
                assert local.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            second = waybill("local", cwd=tmp_path)
            assert second.returncode == 1
            assert str(local.pid) in second.stderr
            exported = waybill("export", "users", cwd=tmp_path)
            assert exported.returncode == 0, exported.stderr
            # An operator's verb finds it as well, and its database.
            dead = waybill("dead-letters", "list", cwd=tmp_path)
            assert (dead.returncode, dead.stdout.strip()) == (0, "There are no dead letters.")
            local.send_signal(signal.SIGTERM)
            _, said = local.communicate(timeout=_DEADLINE_SECONDS)
        finally:
            if local.poll() is None:
                local.kill()
    assert local.returncode == 128 + signal.SIGTERM
    assert "curl" in said
    assert not endpoint.exists()
