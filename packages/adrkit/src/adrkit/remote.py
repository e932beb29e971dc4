"""Records on branches and open pull requests of a remote, read without changing the clone.

What the clone does not have is fetched without file contents into a bare repository in a
temporary directory, which borrows the objects of a whole clone: no ref, no setting and no object
of the clone changes. Nobody is asked for a password, and nothing waits longer than its time limit;
what cannot be read is a ``problem`` to be said, never an error.

Of pull requests git knows the heads alone. One that was closed without a merge looks like an open
one, so its number counts as taken: a gap is harmless, a number taken twice is not.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from adrkit.errors import GitCommandFailed, GitNotFound
from adrkit.git import Git
from adrkit.git_safety import repository_environment

_TIMEOUT_SECONDS = 60.0
#: Newer pull requests first; a project with ten thousand has long merged or closed the others.
MAX_PULL_REQUESTS = 300
_PATTERNS = ("refs/heads/*", "refs/pull/*/head", "refs/merge-requests/*/head")
# Of `remote.NAME.uploadpack` the first counts, not the last: only an option goes before it.
_LS_REMOTE = ("ls-remote", "--upload-pack=git-upload-pack")
_PULL = re.compile(r"refs/(?:pull|merge-requests)/(\d+)/head")
_OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class RemoteHead:
    """A branch or pull request as the remote has it; ``paths`` are files of the directory asked
    for, relative to the top level."""

    name: str
    commit: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemoteHeads:
    heads: tuple[RemoteHead, ...]
    problem: str | None = None


def read_remote(
    git: Git,
    prefix: str,
    *,
    remote: str = "origin",
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> RemoteHeads:
    """Files below ``prefix`` on all branches and pull request heads of ``remote``. Never raises."""
    try:
        url = git.run("remote", "get-url", "--", remote).decode().strip()
    except (GitCommandFailed, GitNotFound):
        return RemoteHeads((), f"there is no remote {remote!r}: only this clone was looked at")
    run = _Runner(git, timeout_seconds)
    try:
        listed = _listed(run(git.root, *_LS_REMOTE, "--", remote, *_PATTERNS))
        kept, cut = _newest(listed)
        here = {item: _head(git, item, prefix) for item in kept}
        missing = [item for item, head in here.items() if head is None]
        found = [head for head in here.values() if head]
    except _Unreachable as error:
        return RemoteHeads((), f"remote {remote!r} could not be read: {error}")
    problems = [f"{cut} older pull requests of {remote!r} were not looked at"] if cut else []
    try:
        fetched = _fetched(run, git, url, missing, prefix) if missing else []
    except (_Unreachable, GitCommandFailed, OSError) as error:
        why = error if isinstance(error, _Unreachable) else type(error).__name__
        problems.append(f"{_named(missing)} of remote {remote!r} could not be read: {why}")
    else:
        found += [head for head in fetched if head]
        unread = [item for item, head in zip(missing, fetched, strict=False) if head is None]
        if unread:
            problems.append(f"{_named(unread)} of remote {remote!r} could not be read")
    return RemoteHeads(tuple(found), "; ".join(problems) or None)


class _Unreachable(Exception):
    """The remote did not answer, or not in time."""


class _Runner:
    """git where it may reach the network: no prompt, no input, a time limit."""

    def __init__(self, git: Git, timeout_seconds: float) -> None:
        self.root, self.timeout_seconds = git.root, timeout_seconds
        # What the clone's settings would run is left out; the user's credential helpers are his.
        hooks = f"core.hooksPath={os.devnull}"
        settings = ("core.fsmonitor=false", hooks, "protocol.ext.allow=never")
        self.options = (*(part for name in settings for part in ("-c", name)), *git.overrides)
        self.emptied = git.unnamable
        # Of this setting the first counts, not the last: only the environment goes before it.
        self.no_proxy = "core.gitproxy" in git.programs

    def __call__(self, where: Path, *arguments: str, stdin: bytes = b"") -> bytes:
        environment = {
            **repository_environment(self.emptied),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "SSH_ASKPASS": "",
            "SSH_ASKPASS_REQUIRE": "never",
            "GCM_INTERACTIVE": "never",
            "LC_ALL": "C",
        }
        environment.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=15")
        if self.no_proxy:
            environment.setdefault("GIT_PROXY_COMMAND", "")
        command = [
            "git", "-c", "core.quotePath=false", "-c", "credential.interactive=false",
            "-c", "core.askPass=", *self.options, *arguments,
        ]  # fmt: skip
        try:
            process = subprocess.Popen(  # noqa: S603 - a fixed program, never through a shell
                command, cwd=where, env=environment, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise _Unreachable(str(error.strerror or error)) from error
        try:
            output, errors = process.communicate(stdin, timeout=self.timeout_seconds)
        except subprocess.TimeoutExpired as error:
            _end(process)
            raise _Unreachable(f"no answer within {self.timeout_seconds:g} s") from error
        if process.returncode:
            said = errors.decode("utf-8", "replace").strip().splitlines() or ["git failed"]
            # The last lines are advice; an older `warning:` says nothing of the cause.
            cause = next((line for line in said if line.startswith("fatal: ")), said[-1])
            raise _Unreachable(_without_secrets(cause.removeprefix("fatal: ")))
        return output


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git with the programs that it started for the connection; they hold its pipes."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.communicate()


def _without_secrets(text: str) -> str:
    """Addresses may hold a token before the ``@``; messages end up in logs."""
    return re.sub(r"(://)[^/@\s]*@", r"\1", text)


def _listed(output: bytes) -> list[tuple[str, str]]:
    found = []
    for line in output.decode("utf-8", "surrogateescape").splitlines():
        commit, _, name = line.partition("\t")
        if _OBJECT_ID.fullmatch(commit) and name.startswith("refs/"):
            found.append((name, commit))
    return found


def _newest(listed: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], int]:
    pulls = [(int(m.group(1)), item) for item in listed if (m := _PULL.fullmatch(item[0]))]
    pulls.sort(reverse=True)
    branches = [item for item in listed if not _PULL.fullmatch(item[0])]
    kept = [item for _, item in pulls[:MAX_PULL_REQUESTS]]
    return [*branches, *kept], max(0, len(pulls) - MAX_PULL_REQUESTS)


def _head(git: Git, item: tuple[str, str], prefix: str) -> RemoteHead | None:
    """None when the commit or, in a partial clone, a tree of it is not there."""
    name, commit = item
    try:
        paths = git.files_at(commit, prefix)
    except GitCommandFailed:
        return None
    return RemoteHead(_short(name), commit, paths)


def _named(items: Sequence[tuple[str, str]]) -> str:
    names = [_short(name) for name, _ in items]
    more = f" and {len(names) - 3} more" if names[3:] else ""
    return ", ".join(names[:3]) + more


def _fetched(
    run: _Runner, git: Git, url: str, items: Sequence[tuple[str, str]], prefix: str
) -> list[RemoteHead | None]:
    # What a shallow or partial clone lacks would never be sent to one that borrows from it.
    whole = not (git.is_shallow or git.is_partial)
    form = git.run("rev-parse", "--show-object-format").decode().strip()
    with tempfile.TemporaryDirectory(prefix="adrkit-remote-") as folder:
        bare = Path(folder)
        run(bare, "init", "-q", "--bare", f"--object-format={form}", ".")
        if whole:
            objects = git.run("rev-parse", "--git-path", "objects").rstrip(b"\n")
            alternates = bare / "objects" / "info" / "alternates"
            alternates.parent.mkdir(parents=True, exist_ok=True)
            alternates.write_bytes(os.fsencode(git.root / os.fsdecode(objects)) + b"\n")
        address = url
        if "://" not in url and ":" not in url.split("/", maxsplit=1)[0]:
            address = str((git.root / url).resolve())  # it is relative to the clone
        refspecs = [f"{commit}:refs/adrkit/{at}" for at, (_, commit) in enumerate(items)]
        fetch = (
            "fetch",
            "-q",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-gc",
            "--stdin",
            *(() if whole else ("--depth=1",)),
        )
        lines = "\n".join(refspecs).encode() + b"\n"
        try:
            run(bare, *fetch, "--filter=blob:none", "--", address, stdin=lines)
        except _Unreachable:  # a server without filters, or one that gives out names alone
            named = [f"{name}:refs/adrkit/{at}" for at, (name, _) in enumerate(items)]
            run(bare, *fetch, "--", address, stdin="\n".join(named).encode() + b"\n")
        inner = Git.of_bare(bare)
        return [_head(inner, item, prefix) for item in items]


def _short(name: str) -> str:
    if match := _PULL.fullmatch(name):
        kind = "merge request" if "merge-requests" in name else "pull request"
        return f"{kind} {match.group(1)}"
    return name.removeprefix("refs/heads/")
