"""What a remote has: pull requests, and remotes that do not answer as they should."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adrkit import remote as remote_module
from adrkit.cli.commands import app
from adrkit.git import Git
from adrkit.remote import read_remote
from adrkit.testing import GitProject, house


def adr(project: GitProject, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["-C", str(project.root), *arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def clone(project: GitProject, tmp_path: Path) -> GitProject:
    """A clone whose origin has a pull request and a merge request that took 2 and 5."""
    project.record(1, "one")
    project.commit()
    for number, ref in ((2, "refs/pull/12/head"), (5, "refs/merge-requests/3/head")):
        project("checkout", "-q", "-b", "work", "main")
        project.record(number, f"of-request-{number}")
        project.commit()
        project("update-ref", ref, "HEAD")
        project("checkout", "-q", "main")
        project("branch", "-q", "-D", "work")
    return cloned(project, tmp_path / "clone")


def cloned(project: GitProject, to: Path, *options: str) -> GitProject:
    """By the protocol: a clone by path holds all objects, those of pull requests included."""
    project("config", "uploadpack.allowFilter", "true")
    project("clone", "-q", *options, f"file://{project.root}", str(to))
    clone = GitProject(to)
    clone("remote", "set-url", "origin", str(project.root))
    return clone


def state(project: GitProject) -> dict[str, bytes]:
    return {
        path.relative_to(project.root).as_posix(): path.read_bytes()
        for path in project.root.rglob("*")
        if path.is_file()
    }


def test_pull_requests_take_numbers_and_the_clone_stays_as_it_is(clone: GitProject) -> None:
    before = state(clone)
    assert json.loads(adr(clone, "ledger", "--json")[1])["next"] == 2
    code, out, err = adr(clone, "ledger", "--remote", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["next"] == 6
    assert found["taken"]["2"] == [
        {"path": "docs/adr/0002-of-request-2.md", "where": "pull request 12"}
    ]
    assert found["taken"]["5"][0]["where"] == "merge request 3"
    assert state(clone) == before


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_objects_are_fetched_with_or_without_filters(clone: GitProject, scheme: str) -> None:
    origin = clone("remote", "get-url", "origin").strip()
    clone("remote", "set-url", "origin", f"{scheme}{origin}")
    git = Git(clone.root)
    for allowed in ("true", "false"):
        GitProject(Path(origin))("config", "uploadpack.allowFilter", allowed)
        heads = read_remote(git, "docs/adr")
        assert heads.problem is None
        names = {head.name for head in heads.heads}
        assert {"main", "pull request 12", "merge request 3"} <= names


def test_new_and_number_can_ask_the_remote(clone: GitProject) -> None:
    assert "0006-use-x.md" in adr(clone, "new", "Use X", "--remote")[1]
    adr(clone, "new", "Use Y", "--draft")
    assert "would become ADR-0007" in adr(clone, "number", "--remote", "--dry-run")[1]


def test_remote_of_another_name(clone: GitProject) -> None:
    clone("remote", "rename", "origin", "upstream")
    code, out, err = adr(clone, "ledger", "--remote")
    assert (code, "next: 0002" in out) == (0, True)
    assert "there is no remote 'origin'" in err
    assert "next: 0006" in adr(clone, "ledger", "--remote", "--remote-name", "upstream")[1]


def test_history_that_was_rewritten_on_the_remote_counts_as_well(clone: GitProject) -> None:
    origin = GitProject(Path(clone("remote", "get-url", "origin").strip()))
    origin("checkout", "-q", "--orphan", "fresh")
    origin.write("docs/adr/0009-fresh.md", house(9))
    origin.commit("everything anew")
    origin("branch", "-q", "-f", "main", "fresh")
    code, out, _ = adr(clone, "ledger", "--remote")
    assert (code, "next: 0010" in out) == (0, True)


@pytest.mark.parametrize("options", [("--filter=tree:0",), ("--filter=blob:none",), ("--depth=1",)])
def test_clone_that_lacks_objects_sees_every_head(
    clone: GitProject, tmp_path: Path, options: tuple[str, ...]
) -> None:
    origin = GitProject(Path(clone("remote", "get-url", "origin").strip()))
    for number in (6, 7):
        origin("checkout", "-q", "-b", f"of-{number}", "main")
        origin.record(number, f"of-{number}")
        origin.commit()
    origin("checkout", "-q", "main")
    part = cloned(origin, tmp_path / "part", *options, "--no-single-branch")
    before = state(part)
    heads = read_remote(Git(part.root), "docs/adr")
    assert heads.problem is None
    assert {path[9:13] for head in heads.heads for path in head.paths} == {
        "0001", "0002", "0005", "0006", "0007"
    }  # fmt: skip
    assert state(part) == before


def test_head_that_can_not_be_read_is_said(clone: GitProject) -> None:
    origin = GitProject(Path(clone("remote", "get-url", "origin").strip()))
    tree = origin("rev-parse", "refs/pull/12/head:docs").strip()
    (origin.root / ".git/objects" / tree[:2] / tree[2:]).unlink()
    code, out, err = adr(clone, "ledger", "--remote")
    assert (code, "next: 0002" in out) == (0, True)
    assert "pull request 12, merge request 3 of remote 'origin' could not be read" in err


def test_only_the_newest_pull_requests_are_looked_at(
    clone: GitProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = GitProject(Path(clone("remote", "get-url", "origin").strip()))
    origin("update-ref", "refs/pull/13/head", "refs/merge-requests/3/head")
    monkeypatch.setattr(remote_module, "MAX_PULL_REQUESTS", 1)
    heads = read_remote(Git(clone.root), "docs/adr")
    assert "pull request 13" in {head.name for head in heads.heads}
    assert "pull request 12" not in {head.name for head in heads.heads}
    assert heads.problem is not None
    assert "2 older pull requests" in heads.problem


class AsksForAPassword(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        del format, arguments


class NeverAnswers(AsksForAPassword):
    released = threading.Event()

    def do_GET(self) -> None:
        self.released.wait()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    NeverAnswers.released.clear()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), request.param)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://someone:secret-token@127.0.0.1:{httpd.server_port}/x.git"
    NeverAnswers.released.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.mark.parametrize("server", [AsksForAPassword], indirect=True)
def test_remote_that_asks_for_a_password_is_a_warning(
    clone: GitProject, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    program = tmp_path / "askpass"
    program.write_text(f"#!/bin/sh\ntouch {asked}\necho no\n")
    program.chmod(0o755)
    monkeypatch.setenv("GIT_ASKPASS", str(program))
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    clone("config", "core.askPass", str(program))
    clone("remote", "set-url", "origin", server.replace("someone:secret-token@", ""))
    code, out, err = adr(clone, "ledger", "--remote")
    assert (code, "next: 0002" in out) == (0, True)
    assert "warning: remote 'origin' could not be read" in err
    assert not asked.exists()


@pytest.mark.parametrize("server", [NeverAnswers], indirect=True)
def test_remote_that_never_answers_ends_in_time(clone: GitProject, server: str) -> None:
    clone("remote", "set-url", "origin", server)
    heads = read_remote(Git(clone.root), "docs/adr", timeout_seconds=0.5)
    assert heads.heads == ()
    assert heads.problem is not None
    assert "no answer within 0.5 s" in heads.problem


@pytest.mark.parametrize("server", [AsksForAPassword], indirect=True)
def test_token_in_the_address_is_not_said(clone: GitProject, server: str) -> None:
    clone("remote", "set-url", "origin", server)
    heads = read_remote(Git(clone.root), "docs/adr")
    assert heads.problem is not None
    assert "secret-token" not in heads.problem


def test_without_git_there_is_no_remote(tmp_path: Path) -> None:
    (tmp_path / "docs/adr").mkdir(parents=True)
    (tmp_path / "docs/adr/0001-a.md").write_text(house(1))
    result = CliRunner().invoke(
        app, ["-C", str(tmp_path), "ledger", "--remote"], env={"GIT_CEILING_DIRECTORIES": os.sep}
    )
    assert result.exit_code == 0
    assert "there is no remote to ask" in result.stderr
