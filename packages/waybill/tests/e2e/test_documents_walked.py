"""The commands of the documents, typed as a reader would: in order, in one shell, beside one
``waybill local``.

A block that cannot be typed here says why, in a comment above it: ``<!-- not walked: … -->``.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from waybill.client import ExportClient
from waybill.client.errors import ExportEnded
from waybill.local.ports import draw_free_port
from waybill.local.sample import create_users, sample_catalog_toml
from waybill.local.stack import LocalStack
from waybill.manifest import Manifest
from waybill.results.verify import verify_file

from . import quick_start
from .terminal import Block, Terminal, blocks_of

ROOT = Path(__file__).parents[4]
DOCUMENTS = sorted(
    {
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("docs/howto/*.md"),
        *ROOT.glob("examples/*/README.md"),
        *ROOT.glob("packages/waybill*/README.md"),
    }
)
# README first: what the others stand beside is what its commands start.
WALKED = (
    "docs/tutorial.md",
    "docs/api.md",
    "docs/authentication.md",
    "docs/client.md",
    "docs/doctor.md",
    "docs/embedding.md",
    "docs/notifications.md",
    "docs/reliability.md",
    "docs/storage.md",
)
PEOPLE = 500
DOUBLED = """
[exports.doubled]   # nothing keeps its key unique, and it will not stay so
table = "public.doubled"
key = "id"
"""
EDITOR = """\
#!{python}
# Deletes what nobody should export, and adds the types of a bare `waybill local`.
import pathlib, re, sys
path = pathlib.Path(sys.argv[1])
types = re.split(r"^(?=\\[exports\\.)", path.read_text(), flags=re.MULTILINE)
(kept,) = [each for each in types if each.startswith("[exports.customers]")]
path.write_text(types[0] + kept + pathlib.Path("{sample}").read_text())
"""


def of(name: str) -> list[Block]:
    """Return the blocks of a document that can be typed."""
    blocks = blocks_of((ROOT / name).read_text(encoding="utf-8"))
    return [block for block in blocks if block.reason is None]


class Reader:
    """Somebody with a database, who follows the documents.

    Attributes:
        dsn: their database.
    """

    def __init__(self, terminal: Terminal, dsn: str, own: dict[str, str]) -> None:
        self.dsn = dsn
        self._terminal = terminal
        self._own = own

    def walk(self, name: str, *, stays: bool = False, **own: str) -> str:
        """Type the commands of a document, with one's own values where it shows made-up ones."""
        blocks = []
        for block in of(name):
            text = block.text
            for shown, mine in {**own, **self._own, **own}.items():
                text = text.replace(shown, mine)
            assert "…" not in re.sub(r"(^|\s)#.*", "", text), f"{name}:{block.line} is not whole"
            blocks.append(Block(block.line, text, block.info, None))
        assert blocks
        return self._terminal.walk(name, blocks, stays=stays)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a clone is for who types: with its environment, and nothing else."""
    folder = tmp_path_factory.mktemp("walk")
    (folder / ".venv").symlink_to(sys.prefix)
    sample = folder / "sample.toml"
    sample.write_text(sample_catalog_toml() + DOUBLED, encoding="utf-8")
    editor = folder / "editor"
    editor.write_text(EDITOR.format(python=sys.executable, sample=sample), encoding="utf-8")
    editor.chmod(0o755)
    (folder / "logs").mkdir()
    command = folder / "command"
    command.write_text(quick_start.program(folder / "commands"), encoding="utf-8")
    command.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def commands(folder: Path) -> Iterator[None]:
    """What the commands are forks of."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "commands"))
        listener.listen()
        descriptor = listener.fileno()
        command = [sys.executable, quick_start.__file__, str(descriptor)]
        with subprocess.Popen(command, pass_fds=[descriptor]) as server:
            yield
            server.terminate()


@pytest.fixture(scope="module")
def reader(local_stack: LocalStack, folder: Path, commands: None) -> Iterator[Reader]:
    """Who has typed the README, so that ``waybill local`` runs."""
    dsn = local_stack.postgres.create_database("walked")
    create_users(dsn, PEOPLE)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE customers (id int PRIMARY KEY, email text, since date);"
            "INSERT INTO customers SELECT n, n || '@example.com', '2026-01-31' "
            "FROM generate_series(1, 7) n;"
            "CREATE TABLE doubled AS SELECT id FROM customers"
        )
    port = str(draw_free_port())
    theirs = local_stack.as_environment()
    environment = {
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "LOGS": str(folder / "logs"),
        "EDITOR": str(folder / "editor"),
        "PORT": port,
        "PROGRAM": str(Path(sys.executable).parent / "waybill"),
        "COMMAND": str(folder / "command"),
        "PATH": f"{os.environ['PATH']}:{local_stack.client_binary('psql').parent}",
        # What a machine's role and its region say where the storage is Amazon's.
        **{name: value for name, value in theirs.items() if name.startswith("WAYBILL_S3_")},
    }
    own = {
        "postgresql://me@db.example:5432/app": dsn,
        "postgresql://me@localhost:5432/shop": local_stack.postgres.create_database("tutored"),
        "WAYBILL_DATABASE_URL=postgresql://…": "WAYBILL_DATABASE_URL="
        + local_stack.postgres.create_database("walked-production"),
        "WAYBILL_SOURCE_DSN=postgresql://…": f"WAYBILL_SOURCE_DSN={dsn}",
        "WAYBILL_REDIS_URL=redis://…": f"WAYBILL_REDIS_URL={local_stack.valkey.url(2)}",
        "WAYBILL_S3_BUCKET=exports": f"WAYBILL_S3_BUCKET={theirs['WAYBILL_S3_BUCKET']}",
        "127.0.0.1:8000": f"127.0.0.1:{port}",
        "https://exports.example.com": "$URL",
        "WAYBILL_TOKEN=…": "WAYBILL_TOKEN=$TOKEN",
        "PASSWORD=…": "PASSWORD=secret",
        "whsec_…": "whsec_" + "c2VjcmV0" * 4,
    }
    with Terminal(folder, environment) as terminal:
        reader = Reader(terminal, dsn, own)
        said = reader.walk("README.md", stays=True)
        assert "0 errors" in said
        assert "customers.csv: 7 rows" in said
        assert "HTTP/1.1 202 Accepted" in said
        assert said.rindex("active_users") > said.index("The database is at")
        yield reader


def test_commands_of_the_tutorial_lead_to_the_table_behind_the_token(reader: Reader) -> None:
    port = draw_free_port()
    own = {"127.0.0.1:8000": f"127.0.0.1:{port}", "--port 8000": f"--port {port}"}
    said = reader.walk("docs/tutorial.md", **own)
    assert "acme.csv: 600 rows" in said


def test_commands_of_the_api_guide_fetch_a_proven_file(
    reader: Reader, folder: Path, find_program: Callable[[str, str], str]
) -> None:
    breaking = {
        f"{program} ": f"truncate --size 100 users.csv; {program} "
        for program in ("curl -sSfL -C -", "wget -q", "aria2c -q")
    }
    find_program("wget", "wget")
    find_program("aria2c", "aria2")
    said = reader.walk("docs/api.md", **breaking)
    assert "event: finished" in said
    assert f"users.csv: {PEOPLE} rows" in said
    (file,) = folder.glob("*/users.csv")
    manifest = Manifest.load(json.loads(file.with_name("users.csv.manifest.json").read_text()))
    assert verify_file(file, manifest).is_whole


def test_commands_of_the_client_guide_export_what_they_say(reader: Reader, folder: Path) -> None:
    service = json.loads((folder / ".waybill" / "endpoint.json").read_text())
    with ExportClient(service["url"], service["token"]) as client:
        interrupted = client.request("users", idempotency_key="interrupted")
    said = reader.walk("docs/client.md", **{"6f1f3c1e-…": str(interrupted.id)})
    assert f"again.csv: {PEOPLE} rows" in said
    assert '"approximate_rows"' in said or '"rows"' in said


def test_commands_about_dead_letters_find_and_replay_them(reader: Reader, folder: Path) -> None:
    with psycopg.connect(reader.dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO doubled VALUES (7)")
    service = json.loads((folder / ".waybill" / "endpoint.json").read_text())
    with ExportClient(service["url"], service["token"]) as client:
        dead = client.request("doubled")
        with pytest.raises(ExportEnded):
            client.wait(dead.id)
    said = reader.walk("docs/reliability.md", **{" ID ": f" {dead.id} "})
    assert "key_not_unique" in said
    with psycopg.connect(reader.dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE doubled")


@pytest.mark.parametrize(
    "name", ["docs/authentication.md", "docs/doctor.md", "docs/notifications.md", "docs/storage.md"]
)
def test_commands_of_the_document_work(reader: Reader, name: str) -> None:
    reader.walk(name)


def test_commands_for_a_database_of_ones_own_print_the_rights(reader: Reader) -> None:
    settings = of("README.md")[-1].text.partition("\n\n")[0].partition("waybill migrate")[0]
    assert "WAYBILL_DATABASE_URL" in settings
    said = reader.walk("docs/embedding.md", **{"waybill migrate": settings + "waybill migrate"})
    assert "GRANT SELECT" in said


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_block_of_commands_is_walked_or_says_why_not(document: Path) -> None:
    """A block that nothing types is one that nobody knows to work."""
    name = str(document.relative_to(ROOT))
    text = document.read_text(encoding="utf-8")
    blocks = blocks_of(text)
    assert len(blocks) == len(re.findall(r"^`{3,}(?:sh|bash|console|shell)\b", text, re.MULTILINE))
    for block in blocks:
        if block.reason is not None:
            assert len(block.reason.split()) >= 3, f"{name}:{block.line} gives no reason"
        elif block.info == "run":
            assert document.parent.name == "howto", name  # test_howto.py types these
        else:
            assert name in {"README.md", *WALKED}, f"{name}:{block.line} is typed by no test"


def test_every_document_that_is_walked_has_something_to_type() -> None:
    assert [name for name in WALKED if not of(name)] == []
