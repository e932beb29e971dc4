"""Commands on checkouts that somebody else made: reading changes no byte, writing none outside."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.editor.project import EditorProject
from adrkit.errors import AdrkitError
from adrkit.testing import GitProject, house

RECORD = "docs/adr/0001-use-queues.md"

READING = [
    ["list"], ["list", "--json"], ["show", "1"], ["search", "use"], ["why", "src/app.py"],
    ["lint"], ["lint", "--strict", "-f", "sarif"], ["rules"], ["audit", "--best-effort"],
    ["check"], ["check", "--verbose"], ["graph"], ["index", "--check"], ["export"],
    ["template", "show"], ["import", "docs/adr", "-o", "elsewhere", "--dry-run"],
    ["renumber", "1", "--dry-run"],
]  # fmt: skip

#: What each may write beside the records: files that the commands are for.
WRITING = [
    ["init"], ["new", "Use Another", "--no-edit"], ["accept", "2"], ["reject", "2"],
    ["deprecate", "1"], ["supersede", "1", "--by", "2", "--force"], ["renumber", "1"], ["index"],
    ["index", "--add-markers"], ["lint", "--fix"], ["lint", "--write-baseline"],
    ["lint", "--update-baseline"], ["site", "-o", "build/site"], ["export", "-o", "build/out.json"],
    ["graph", "-o", "build/graph.mmd"], ["import", "other", "-o", "docs/imported"],
    ["new", "Use Third", "--no-edit", "--supersedes", "1", "--status", "Accepted"],
]  # fmt: skip


def adr(root: Path, *arguments: str) -> int:
    done = CliRunner().invoke(app, ["-C", str(root), *arguments])
    unexpected = done.exception
    if unexpected is not None and not isinstance(unexpected, SystemExit):
        raise unexpected
    return done.exit_code


def snapshot(root: Path) -> dict[str, object]:
    """Every entry below a directory: what it is, and its bytes or target."""
    found: dict[str, object] = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                content: object = str(path.readlink())
            elif stat.S_ISREG(mode):
                content = path.read_bytes()
            else:
                content = None
            found[path.relative_to(root).as_posix()] = (stat.S_IFMT(mode), content)
    return found


def differences(before: dict[str, object], after: dict[str, object]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def read_like_an_editor(root: Path) -> None:
    with contextlib.suppress(AdrkitError):
        project = EditorProject(root)
        for record in project.records:
            if record.path is not None:
                project.remarks(record.path, record.document.text)
                project.mended(record.path, record.document.text)


# --- the attack ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["../../.git/hooks/post-commit", "ABSOLUTE", "0001-use-queues.md"]
)
@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_journal_that_came_with_the_checkout_does_nothing(
    project: GitProject, tmp_path: Path, target: str, command: list[str]
) -> None:
    project.record(1, "use-queues")
    project.record(2, "use-logs", "Proposed")
    absolute = tmp_path / "outside.sh"
    named = project.records / target if target != "ABSOLUTE" else absolute
    project.write("docs/adr/.payload", "#!/bin/sh\ntouch pwned\n")
    project.write(
        "docs/adr/.adrkit-journal.json",
        f'{{"version": 1, "changes": [{{"target": "{named}", "new": '
        f'"{project.records}/.payload", "before": null, "after": "0"}}]}}',
    )
    project.commit()
    before = snapshot(tmp_path)
    adr(project.root, *command)
    assert differences(before, snapshot(tmp_path)) == set()


def test_failed_change_of_one_record_is_rolled_back_and_never_applied_later(
    project: GitProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.record(1, "use-queues")
    project.record(2, "use-logs")
    before = snapshot(project.records)
    replace = Path.replace

    def refusing(self: Path, target: Path) -> Path:
        if target.name.startswith("0001") and self.name.endswith("new"):
            raise PermissionError(1, "Operation not permitted", str(target))
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refusing)
        done = CliRunner().invoke(app, ["-C", str(project.root), "supersede", "1", "--by", "2"])
    assert done.exit_code == 2
    assert "cannot write" in done.stderr
    assert "Operation not permitted" in done.stderr
    assert snapshot(project.records) == before
    assert adr(project.root, "list") == 0
    assert snapshot(project.records) == before


def test_change_that_was_killed_midway_is_named_by_lint_and_completed_by_the_same_command(
    project: GitProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.record(1, "use-queues")
    project.record(2, "use-logs")
    project.write("src/app.py", "")
    replace = Path.replace

    class Killed(BaseException):
        pass

    def dying(self: Path, target: Path) -> Path:
        if target.name.startswith("0001"):
            raise Killed
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        patch.setattr("adrkit.transaction._Staged.undo", lambda self: None)  # no time for it
        with pytest.raises(Killed):
            adr(project.root, "supersede", "1", "--by", "2")
    done = CliRunner().invoke(app, ["-C", str(project.root), "lint"])
    assert (done.exit_code, "ADR701" in done.stdout) == (1, True)
    assert adr(project.root, "supersede", "1", "--by", "2") == 0
    done = CliRunner().invoke(app, ["-C", str(project.root), "lint", "--select", "ADR7"])
    assert (done.exit_code, done.stdout) == (0, "2 records: 0 errors, 0 warnings\n")


# --- settings and links that lead out -----------------------------------------------------------


@pytest.mark.parametrize(
    "setting",
    [
        'directory = "../outside"', 'directory = "/{outside}"', 'directory = "link"',
        'template = "../outside/there.md"', '[lint]\nbaseline = "../outside/there.md"',
        '[lint]\nbaseline = "link/new.json"', '[index]\nfile = "../outside/there.md"',
        '[index]\nfile = "link/new.md"',
    ],
)  # fmt: skip
def test_settings_do_not_lead_out_of_the_checkout(tmp_path: Path, setting: str) -> None:
    project = GitProject(tmp_path / "project")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "there.md").write_text(house(1))
    (project.root / "link").symlink_to(outside, target_is_directory=True)
    project.record(1, "use-queues")
    project.record(2, "use-logs", "Proposed")
    project.write("adrkit.toml", setting.replace("/{outside}", str(outside)) + "\n")
    before = snapshot(outside)
    for command in (*READING, *WRITING):
        adr(project.root, *command)
        assert differences(before, snapshot(outside)) == set(), command


def test_directory_outside_is_refused_unless_the_user_names_it(tmp_path: Path) -> None:
    project = GitProject(tmp_path / "project")
    project.write("adrkit.toml", 'directory = "../records"\n')
    records = tmp_path / "records"
    records.mkdir()
    (records / "0001-use-queues.md").write_text(house(1))
    refused = CliRunner().invoke(app, ["-C", str(project.root), "list"])
    assert refused.exit_code == 2
    assert "leads out of the checkout" in refused.stderr
    assert adr(project.root, "--dir", "../records", "list") == 0
    assert adr(project.root, "--dir", "../records", "new", "Use Logs", "--no-edit") == 0
    assert len(list(records.iterdir())) == 2


@pytest.mark.parametrize(
    "link",
    [
        "docs/adr", "docs/adr/0001-use-queues.md", "docs/adr/0003-use-another.md",
        "docs/adr/README.md", "docs/adr/.0001-use-queues.md.adrkit-new", "build", "build/site",
        "build/site/assets", "build/site/.adr-site", "build/site/index.html", "build/out.json",
        "build/graph.mmd", ".adr-lint-baseline.json", "adrkit.toml", "src/app.py", "docs/imported",
    ],
)  # fmt: skip
def test_links_in_a_checkout_are_never_followed_out_of_it(tmp_path: Path, link: str) -> None:
    project = GitProject(tmp_path / "project")
    outside = tmp_path / "outside"
    outside.mkdir()
    project.record(1, "use-queues")
    project.record(2, "use-logs", "Proposed")
    project.write("src/app.py", "# ADR-0001\n")
    project.write("build/site/.adr-site", "assets/style.css\nassets/app.py\n../../evil\n")
    project.write("other/0001-a.md", "# 1. Use A\n\n## Status\n\nAccepted\n\n## Decision\n\nA.\n")
    place = project.root / link
    if place.is_dir():
        shutil.copytree(place, outside / "held", dirs_exist_ok=True)
        shutil.rmtree(place)
        place.symlink_to(outside / "held", target_is_directory=True)
    elif place.is_file():
        place.rename(outside / "held.md")
        place.symlink_to(outside / "held.md")
    else:  # one that leads to where nothing is, yet
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(outside / "new")
    before = snapshot(outside)
    for command in WRITING:
        adr(project.root, *command)
        assert differences(before, snapshot(outside)) == set(), command


def test_marker_of_a_site_cannot_have_other_files_removed(project: GitProject) -> None:
    project.record(1, "use-queues")
    project.write("site/.adr-site", "notes.md\n../src/app.py\nassets/../../src/app.py\nold.html\n")
    project.write("site/notes.md", "mine")
    project.write("site/old.html", "a page of the earlier site")
    project.write("src/app.py", "")
    assert adr(project.root, "site", "-o", "site") == 0
    assert (project.root / "src/app.py").exists()
    assert (project.root / "site/notes.md").exists()
    assert not (project.root / "site/old.html").exists()


# --- programs in git's settings -----------------------------------------------------------------

_PROGRAMS = [
    ("core.fsmonitor", "{run}"), ("core.hooksPath", "{hooks}"), ("core.pager", "{run}"),
    ("core.sshCommand", "{run}"), ("core.askPass", "{run}"), ("core.editor", "{run}"),
    ("core.gitProxy", "{run}"), ("core.alternateRefsCommand", "{run}"),
    ("credential.helper", "!{run}"), ("diff.external", "{run}"), ("diff.evil.textconv", "{run}"),
    ("diff.evil.command", "{run}"), ("filter.evil.clean", "{run}"),
    ("filter.evil.smudge", "{run}"), ("filter.evil.process", "{run}"),
    ("log.showSignature", "true"), ("gpg.program", "{run}"), ("gpg.ssh.program", "{run}"),
    ("merge.evil.driver", "{run}"), ("uploadpack.packObjectsHook", "{run}"),
    ("remote.origin.url", "ext::{run}"), ("remote.origin.promisor", "true"),
    ("remote.origin.partialclonefilter", "blob:none"), ("extensions.partialClone", "origin"),
    ("protocol.ext.allow", "always"), ("remote.origin.uploadpack", "{run}"),
    # A section with `=` in its name, which no option of git can name; and odd bytes.
    ("filter.a=b.clean", "{run}"), ("filter.a=b.process", "{run}"), ("diff.a=b.textconv", "{run}"),
    ("filter.=.clean", "{run}"), ("filter. é\"\\.=x.clean", "{run}"), ("merge.a=b.driver", "{run}"),
    ("pager.log", "{run}"), ("alias.log", "!{run}"), ("status.submoduleSummary", "true"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "driver"),
    [
        *((each, "evil") for each in READING),
        *((["renumber", "1"], d) for d in ("evil", "a=b", "=")),
    ],
    ids=str,
)
def test_no_program_of_the_repositorys_settings_is_run(
    tmp_path: Path, command: list[str], driver: str
) -> None:
    project = GitProject(tmp_path / "project")
    ran = tmp_path / "ran"
    program = tmp_path / "evil.sh"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> "{ran}"\ncat\n')
    program.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc"):
        (hooks / name).symlink_to(program)
    project.record(1, "use-queues")
    project.record(2, "use-logs", "Proposed")
    project.write("src/app.py", "# ADR-0001\n")
    project.write(".gitattributes", f"* filter={driver} diff={driver} merge={driver}\n")
    project.write("docs/adr/0001-other.md", house(1, "Other"))  # renumber asks git who is meant
    project.commit()
    for key, value in _PROGRAMS:
        project("config", key, value.format(run=program, hooks=hooks))
    # A signed commit, whose signature git would ask the program about.
    project.write("src/app.py", "# ADR-0001, changed\n")
    ran.unlink(missing_ok=True)
    adr(project.root, *command)
    read_like_an_editor(project.root)
    assert not ran.exists(), ran.read_text()


def test_work_tree_that_the_settings_move_elsewhere_is_not_taken(tmp_path: Path) -> None:
    project = GitProject(tmp_path / "project")
    project.record(1, "use-queues")
    project.commit()
    (tmp_path / "cites.md").write_text("see ADR-0001\n")
    project("config", "core.worktree", str(tmp_path))
    adr(project.root, "renumber", "1")
    assert (tmp_path / "cites.md").read_text() == "see ADR-0001\n"


@pytest.mark.parametrize(
    "command", ["lint", "index --check", "check", "number --check", "coverage", "renumber 1 -n"]
)
def test_pipe_in_the_place_of_a_file_is_not_waited_for(project: GitProject, command: str) -> None:
    project.record(1, "use-queues")
    project.record(2, "use-logs")
    project.commit()
    for name in ("docs/adr/README.md", "docs/adr/0003-use-mail.md", ".adr-lint-baseline.json",
                 "adrkit.toml", ".adr-dir", "src/pipe.py", "requirements.txt"):  # fmt: skip
        place = project.root / name
        place.parent.mkdir(exist_ok=True)
        os.mkfifo(place)

    def hangs(*_: object) -> None:
        raise TimeoutError(command)

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(60)
    try:
        assert adr(project.root, *command.split()) in (0, 1, 2)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# --- whole checkouts, made at random ------------------------------------------------------------

_NAMES = [
    RECORD, "docs/adr/0002-use-logs.md", "docs/adr/README.md", "docs/adr/.adrkit-journal.json",
    "docs/adr/.0001-use-queues.md.adrkit-new", "docs/adr/.0001-use-queues.md.adrkit-old",
    "docs/adr/0003-deep/0004-x.md", "adrkit.toml", ".adr-dir", ".adr-lint-baseline.json",
    ".gitattributes", "src/app.py", "build/site/.adr-site", "build/site/index.html", "link",
    "docs/adr/template.md", "docs/adr/0005-a.markdown",
]  # fmt: skip
_TARGETS = [
    "OUTSIDE", "OUTSIDE/there.md", "OUTSIDE/new.md", "..", "../..", "/dev/null", ".", "src/app.py",
    "docs/adr", RECORD, "../../.git/config", ".git/hooks/post-commit", "0001-use-queues.md",
]  # fmt: skip
_SETTINGS = [
    'directory = "docs/adr"', 'directory = "../.."', 'directory = ".git"', 'directory = "link"',
    'template = "docs/adr/template.md"', 'exclude = ["**"]', 'citations = ["/etc/*"]',
    '[lint]\nbaseline = "OUTSIDE/there.md"', '[lint]\nbaseline = ".git/config"',
    '[index]\nfile = "../outside/there.md"', '[check]\nsource-roots = ["src"]',
    '[check]\npattern-timeout-seconds = 0.2', '[audit]\nbranch = "--output=OUTSIDE/new.md"',
    "directory = [", '[site]\ntitle = "<script>"',
]  # fmt: skip
_CHECKS = [
    '[[command]]\nrun = ["touch", "OUTSIDE/new.md"]',
    '[[path-exists]]\npath = "../outside/there.md"',
    '[[regex]]\nfiles = ["**/*.md"]\npattern = "(a+)+$"',
    '[[setting]]\nfile = "src/app.py"\nattribute = "X"\nvalue = 1',
    '[[config]]\nfile = "link"\npointer = "/a"\nvalue = 1', "[[", "[[import-forbidden]]\nfiles = 3",
]  # fmt: skip


@st.composite
def contents(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["record", "settings", "journal", "text", "list"]))
    if kind == "record":
        text = house(draw(st.integers(0, 3)), "Use Queues", draw(st.sampled_from(
            ["Accepted", "Proposed", "Superseded by ADR-0002", "Rejected", "?"])))  # fmt: skip
        if draw(st.booleans()):
            text += f"\n```adr-check\n{draw(st.sampled_from(_CHECKS))}\n```\n"
        if draw(st.booleans()):
            text += f"\nSee [x]({draw(st.sampled_from(_TARGETS))}) and ADR-0001.\n"
        return text
    if kind == "settings":
        return "\n".join(draw(st.lists(st.sampled_from(_SETTINGS), max_size=2)))
    if kind == "journal":
        target = draw(st.sampled_from(_TARGETS))
        return f'{{"version": 1, "changes": [{{"target": "{target}", "new": "{RECORD}"}}]}}'
    if kind == "list":
        return "\n".join(draw(st.lists(st.sampled_from([*_NAMES, *_TARGETS]), max_size=4)))
    return draw(st.text(string.printable, max_size=60))


_Checkout = list[tuple[str, str, str]]

checkouts: st.SearchStrategy[_Checkout] = st.lists(
    st.one_of(
        st.tuples(st.just("file"), st.sampled_from(_NAMES), contents()),
        st.tuples(st.just("link"), st.sampled_from(_NAMES), st.sampled_from(_TARGETS)),
        st.tuples(st.just("folder"), st.sampled_from(_NAMES), st.just("")),
    ),
    min_size=1,
    max_size=7,
    unique_by=lambda entry: entry[1],
)


@contextlib.contextmanager
def made(base: Path, checkout: _Checkout, *, committed: bool) -> Iterator[tuple[Path, Path]]:
    shutil.rmtree(base, ignore_errors=True)
    outside = base / "outside"
    outside.mkdir(parents=True)
    (outside / "there.md").write_text(house(7, "Theirs"))
    project = GitProject(base / "project")
    project.record(2, "use-logs")
    for kind, name, value in checkout:
        path = project.root / name
        value = value.replace("OUTSIDE", str(outside))  # noqa: PLW2901
        with contextlib.suppress(OSError):  # a folder where a file is, or below a link
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.parent.resolve().is_relative_to(project.root):
                continue  # planted before it: the fuzz itself stays inside
            if path.is_symlink() or path.is_file():
                path.unlink()
            if kind == "file":
                path.write_text(value)
            elif kind == "link":
                path.symlink_to(value)
            else:
                path.mkdir()
    if committed:
        project.commit()
    yield project.root, outside


_FUZZ = settings(
    max_examples=int(os.environ.get("ADRKIT_FUZZ_EXAMPLES", "25")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@_FUZZ
@given(checkout=checkouts, committed=st.booleans(), command=st.sampled_from(READING))
def test_reading_any_checkout_changes_no_byte_of_it_nor_outside(
    tmp_path_factory: pytest.TempPathFactory, checkout: _Checkout, committed: bool,
    command: list[str],
) -> None:  # fmt: skip
    base = tmp_path_factory.getbasetemp() / "fuzz-reading"
    with made(base, checkout, committed=committed) as (root, _):
        before = snapshot(base)
        adr(root, *command)
        read_like_an_editor(root)
        assert differences(before, snapshot(base)) == set()


@_FUZZ
@given(checkout=checkouts, committed=st.booleans(), command=st.sampled_from(WRITING))
def test_writing_in_any_checkout_changes_no_byte_outside_nor_of_git(
    tmp_path_factory: pytest.TempPathFactory, checkout: _Checkout, committed: bool,
    command: list[str],
) -> None:  # fmt: skip
    base = tmp_path_factory.getbasetemp() / "fuzz-writing"
    with made(base, checkout, committed=committed) as (root, outside):
        before = snapshot(outside), snapshot(root / ".git")
        adr(root, *command)
        assert (snapshot(outside), snapshot(root / ".git")) == before
        for name, (kind, _) in snapshot(base).items():  # type: ignore[misc]
            assert not name.endswith((".adrkit-new", ".adrkit-old")) or any(
                entry[1] in name for entry in checkout
            ), (kind, name)
