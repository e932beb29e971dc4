"""Passwords come from the environment, a file or a prompt, and not from the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo


def waybill(
    *arguments: str, cwd: Path, typed: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("WAYBILL_", "PG"))}
    return subprocess.run(
        [sys.executable, "-m", "waybill", *arguments],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


VERBS = [("init", "--dsn"), ("check", "--dsn"), ("local", "--source-dsn")]


@pytest.mark.parametrize(("verb", "option"), VERBS)
@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://me:hunter2@db.invalid/x",
        "host=db.invalid user=me password=hunter2",
        "postgresql://me:hun%ter2@db.invalid/x",
    ],
)
def test_password_on_the_command_line_is_refused_with_the_other_ways(
    tmp_path: Path, verb: str, option: str, dsn: str
) -> None:
    result = waybill(verb, option, dsn, cwd=tmp_path)
    assert result.returncode == 78
    for way in ("PGPASSWORD", "--ask-password", "WAYBILL_SOURCE_DSN", f"{option}-file"):
        assert way in " ".join(result.stderr.split())
    assert "hunter2" not in result.stdout + result.stderr
    assert list(tmp_path.iterdir()) == []


def without_password(dsn: str) -> tuple[str, str]:
    parts = conninfo_to_dict(dsn)
    password = str(parts.pop("password"))
    return make_conninfo("", **parts), password


def test_password_from_the_environment_a_file_the_input_or_a_prompt_is_taken(
    tmp_path: Path, database: str
) -> None:
    address, password = without_password(database)
    file = tmp_path / "dsn"
    file.write_text(f"{database}\n")
    ways = (
        waybill("init", "--dsn", address, cwd=tmp_path, PGPASSWORD=password),
        waybill("check", "--dsn-file", str(file), cwd=tmp_path),
        waybill("check", "--dsn-file", "-", cwd=tmp_path, typed=database),
        waybill("check", "--dsn", address, "--ask-password", cwd=tmp_path, typed=f"{password}\n"),
    )
    for result in ways:
        assert result.returncode == 0, result.stderr
        assert password not in result.stdout + result.stderr


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read"), ("\n", "is empty")])
def test_file_without_an_address_is_named(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "dsn"
    if content is not None:
        file.write_text(content)
    result = waybill("check", "--dsn-file", str(file), cwd=tmp_path)
    assert result.returncode == 78
    assert said in result.stderr
