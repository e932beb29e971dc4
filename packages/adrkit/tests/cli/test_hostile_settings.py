"""Settings, names and git directories that somebody else made: one sentence, nothing endless."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.config import SETTINGS_FILES
from adrkit.errors import GitCommandFailed
from adrkit.git import Git
from adrkit.ledger import NumberLedger
from adrkit.repository import RecordRepository
from adrkit.testing import GitProject, house


def adr(root: Path, *arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["-C", str(root), *arguments])
    assert isinstance(done.exception, SystemExit | None), done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("settings", "command", "said"),
    [
        ("x = " + "[" * 20_000, "list", "nested too deeply"),
        ("x = " + "1" * 5_000, "list", "not valid TOML"),
        ('directory = "a\\u0000b"', "list", "'directory' must be a non-empty string"),
        ('template = "a\\u0000b"', "list", "'template' must be a non-empty string"),
        ('[index]\nfile = "a\\u0000b"', "index", "null character"),
        ('[lint]\nbaseline = "a\\u0000b"', "lint", "null character"),
        ('directories = ["../../../**/adr"]', "list", "leads out of"),
        ('directories = ["link/**/adr"]', "list", "leads out of"),
        (f'directories = ["{"*/" * 25}adr"]', "list", "names none that there is"),
        ('[lint]\nbaseline = "deep.json"', "lint", "is no baseline of adr lint"),
        ('[lint]\nbaseline = "endless"', "lint", "is no baseline of adr lint"),
        ('template = "endless"', "new T --no-edit", "larger than 32 MiB"),
        ('directory = ".git/hooks/records"', "new T --no-edit", "it is git's own"),
    ],
)
def test_settings_of_any_shape_are_one_sentence(
    project: GitProject, settings: str, command: str, said: str
) -> None:
    project.record(1, "use-queues")
    project.write("deep.json", "[" * 20_000)
    with (project.root / "endless").open("wb") as file:
        file.truncate(1 << 40)  # a hole: as large as nobody's memory
    (project.root / "link").symlink_to("/")
    for name in "abcd":  # paths without number
        (project.root / name).symlink_to(".")
    (project.root / ".git/hooks/.git").mkdir(parents=True)
    project.write("adrkit.toml", settings)
    code, out, err = adr(project.root, *command.split())
    assert (code, out, said in err, "remedy: " in err) == (2, "", True, True), err


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        ('template = "../credentials"', "new T --no-edit"),
        ('template = "link/credentials"', "template show"),
        ('directories = ["../records", "docs/adr"]', "list"),
        ('[lint]\nbaseline = "../credentials"', "lint"),
        ('[index]\nfile = "../credentials"', "index"),
        ('[index]\nfile = "../credentials"', "hooks"),
        ('[check]\ncitations = ["../credentials"]', "check"),
        ('[check]\nexclude-citations = ["../*"]', "check"),
        ('[check]\nsource-roots = ["../records"]', "check"),
    ],
)
@pytest.mark.parametrize("chosen", [[], ["--dir", "docs/adr"]], ids=["plain", "--dir"])
def test_no_setting_leads_out_of_the_checkout_whichever_directory_is_meant(
    project: GitProject, settings: str, command: str, chosen: list[str]
) -> None:
    project.record(1, "use-queues")
    project.write("../credentials", "SECRET=hunter2\n")
    (project.root / "link").symlink_to("..")
    project.write("adrkit.toml", settings)
    code, out, err = adr(project.root, *chosen, *command.split())
    assert (code, out, "remedy: " in err) == (2, "", True), err
    assert "hunter2" not in err
    assert [path.name for path in project.records.iterdir()] == ["0001-use-queues.md"]
    assert not (project.root / ".git/hooks/post-merge").exists()


@pytest.mark.parametrize(
    "name",
    ["docs/adr/README.md", "table.md", "a\n* filter=evil", "a b\t.md", '"q"/\\x.md', "#x/[a]*?.md",
     "!x/é.md", "a\u2028* filter=evil"],
)  # fmt: skip
def test_hooks_name_the_file_of_the_table_alone(project: GitProject, name: str) -> None:
    """Whatever its name holds: a line break in it began a line of the checkout's own."""
    project.record(1, "use-queues")
    project.write("adrkit.toml", f"[index]\nfile = {json.dumps(name)}\n")
    for _ in range(2):  # the second time its own lines are read
        assert adr(project.root, "hooks")[0] == 0
    others = ["a", "src/app.py", "x/table.md", "#x/ax.md"]
    asked = project("check-attr", "-z", "--all", "--", name, *others).split("\0")
    assert asked == [name, "merge", "adr-index", ""]


@pytest.mark.parametrize("name", SETTINGS_FILES)
@pytest.mark.parametrize("chosen", [[], ["--dir", "docs/adr"]], ids=["plain", "--dir"])
def test_settings_file_that_is_none_of_the_checkout_is_not_read(
    project: GitProject, name: str, chosen: list[str]
) -> None:
    project.record(1, "use-queues")
    place = project.root / name
    (project.root / "folder").symlink_to("..")
    project.write("../credentials", "SECRET=hunter2\n")
    for target in ("../credentials", "folder/credentials", "/dev/zero", "/proc/self/environ", name):
        place.symlink_to(target)
        code, out, err = adr(project.root, *chosen, "list")
        assert (code, out, "cannot be read: " in err) == (2, "", True), err
        assert "hunter2" not in err
        place.unlink()
    os.mkfifo(place)
    code, out, err = adr(project.root, *chosen, "list")
    assert (code, out, "it is no file" in err) == (2, "", True), err
    place.unlink()
    with place.open("wb") as file:
        file.truncate(1 << 40)
    assert adr(project.root, *chosen, "list")[0] == 2
    place.unlink()
    # A link to a file of the checkout is settings like any; a directory of that name is none.
    text = {".adr-dir": "docs/adr", "pyproject.toml": "[tool.adrkit]\n"}
    project.write("shared", text.get(name, "[lint]\n"))
    place.symlink_to("shared")
    assert adr(project.root, *chosen, "list")[0] == 0
    place.unlink()
    place.mkdir()
    assert adr(project.root, *chosen, "list")[0] == 0


def test_patterns_name_the_directories_that_there_are(project: GitProject) -> None:
    for name in ("services/mail/docs/adr", "services/orders/docs/adr", ".git/x/docs/adr", "adr"):
        (project.root / name).mkdir(parents=True)
    for pattern in ("services/*/docs/adr", "**/docs/adr", "serv[i]ces/**/adr"):
        project.write("adrkit.toml", f'directories = ["{pattern}"]')
        code, _, err = adr(project.root, "new", "T")
        assert (code, "directories: services/mail/docs/adr, services/orders/docs/adr\n" in err) == (
            2, True), pattern  # fmt: skip


def test_adr_dir_with_a_null_character_is_one_sentence(project: GitProject) -> None:
    project.write(".adr-dir", "a\0b")
    assert "must hold one path" in adr(project.root, "list")[2]


def test_endless_record_is_named_by_the_audit(project: GitProject) -> None:
    project.record(1, "use-queues")
    project.commit()
    with (project.records / "0002-x.md").open("wb") as file:
        file.truncate(1 << 40)
    code, _, err = adr(project.root, "audit", "--best-effort")
    assert (code, "0002-x.md: it is larger than 32 MiB" in err) == (2, True)


def test_marker_of_a_site_without_end_is_not_read(project: GitProject) -> None:
    project.record(1, "use-queues")
    project.write("site/.adr-site", "")
    with (project.root / "site/.adr-site").open("wb") as file:
        file.truncate(1 << 40)
    code, _, err = adr(project.root, "site", "-o", "site")
    assert (code, "larger than 32 MiB" in err) == (2, True)


@pytest.mark.parametrize("place", [".gitignore", "docs/.gitignore"])
def test_pipe_that_git_would_wait_for_is_named(project: GitProject, place: str) -> None:
    project.record(1, "use-queues")
    project.commit()
    os.mkfifo(project.root / place)
    code, _, err = adr(project.root, "check")
    assert (code, f"{place}: it is no file" in err) == (2, True)


# --- git: what its settings and variables change ---


@pytest.mark.parametrize("directory", [":adr", ":(top)adr", ":!adr", "docs/a[d]r", "-adr"])
def test_directory_named_like_a_pattern_of_git_keeps_its_history(
    tmp_path: Path, directory: str
) -> None:
    project = GitProject(tmp_path / "project")
    project.write(f"{directory}/0007-gone.md", house(7))
    project.write("docs/adr/0009-other.md", house(9))
    project.commit()
    project("rm", "-q", "--", f":(literal){directory}/0007-gone.md")
    project.write(f"{directory}/0001-here.md", house(1))
    project.commit()
    repository = RecordRepository(project.root / directory)
    ledger = NumberLedger(repository, Git.discover(project.root))
    assert sorted(ledger.uses) == [1, 7]
    assert Git.discover(project.root).tracked(directory) == (f"{directory}/0001-here.md",)


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> GitProject:
    """A record that was changed in a merge, and a file that moved."""
    project = GitProject(tmp_path_factory.mktemp("merged") / "project")
    project.record(1, "use-queues")
    project.write("src/app.py", "x = 1\n" * 9)
    project.commit()
    project("switch", "-qc", "other")
    project("mv", "src/app.py", "src/moved.py")
    project.commit()
    project("switch", "-q", "main")
    project.record(2, "use-logs")
    project.commit()
    project("merge", "-q", "--no-edit", "--no-ff", "other")
    return project


def _seen(project: GitProject) -> tuple[object, ...]:
    git = Git.discover(project.root)
    changes = sorted((c.commit, c.status, c.path) for c in git.changes("docs/adr", "src"))
    return git.tracked("docs/adr"), git.moves(99), changes, adr(project.root, "audit", "--history")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("i18n.logOutputEncoding", "UTF-16"), ("log.diffMerges", "off"),
        ("diff.orderFile", "/nowhere"), ("color.ui", "always"), ("log.follow", "true"),
        ("diff.renames", "false"), ("diff.relative", "true"),
    ],
)  # fmt: skip
def test_no_setting_of_git_changes_what_is_seen(
    merged: GitProject, monkeypatch: pytest.MonkeyPatch, key: str, value: str
) -> None:
    before = _seen(merged)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")  # as if it stood in the user's settings
    monkeypatch.setenv("GIT_CONFIG_KEY_0", key)
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", value)
    assert _seen(merged) == before


@pytest.mark.parametrize("name", ["LITERAL", "GLOB", "NOGLOB", "ICASE"])
def test_no_variable_of_git_changes_what_is_seen(
    merged: GitProject, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = _seen(merged)
    monkeypatch.setenv(f"GIT_{name}_PATHSPECS", "1")
    assert _seen(merged) == before


def test_pipe_for_a_mailmap_is_not_opened(project: GitProject) -> None:
    project.record(1, "use-queues")
    project.commit()
    os.mkfifo(project.root / ".mailmap")
    options = Git.discover(project.root).run("config", "--get", "log.mailmap")
    assert options == b"false\n"  # what opens it; waiting for it would be this test's end
    assert adr(project.root, "ledger")[0] == 0


@pytest.mark.parametrize(
    "key", ["core.excludesFile", "core.attributesFile", "blame.ignoreRevsFile", "mailmap.file"]
)
def test_pipe_that_a_setting_of_the_checkout_names_is_not_opened(
    project: GitProject, key: str
) -> None:
    project.record(1, "use-queues")
    project.commit()
    os.mkfifo(project.root / "pipe")
    project("config", key, str(project.root / "pipe"))
    named = Git.discover(project.root).run("config", "--get", key)
    assert named == b"\n"  # waiting for it would be this test's end
    assert adr(project.root, "ledger")[0] == 0
    assert adr(project.root, "audit", "--history")[0] == 0
    (project.root / "pipe").unlink()
    assert adr(project.root, "check")[0] == 0


def test_clone_that_git_cannot_read_is_not_taken_for_none(project: GitProject) -> None:
    project.record(1, "use-queues")
    project.commit()
    project("config", "core.compression", "99")
    with pytest.raises(GitCommandFailed):
        Git.find(project.root)
    code, _, err = adr(project.root, "new", "T", "--no-edit")  # a number may be taken
    assert (code, "compression" in err) == (2, True)


# --- hooks, which are the one thing that is written into git's own directory ---


def test_hooks_write_into_no_repository_that_does_not_know_the_work_tree(tmp_path: Path) -> None:
    victim = GitProject(tmp_path / "victim")
    victim.record(1, "theirs")
    victim.commit()
    before = (victim.root / ".git/config").read_bytes()
    for kind in ("file", "link", "commondir", "config"):
        project = GitProject(tmp_path / kind)
        own = project.root / ".git"
        if kind == "commondir":
            (own / "commondir").write_text(f"{victim.root}/.git\n")
        elif kind == "config":
            (own / "config").unlink()
            (own / "config").symlink_to(victim.root / ".git/config")
        else:
            own.rename(project.root / "was")
            if kind == "file":
                own.write_text(f"gitdir: {victim.root}/.git\n")
            else:
                own.symlink_to(victim.root / ".git")
        project.record(1, "use-queues")
        code, _, err = adr(project.root, "hooks")
        assert (code, "is refused" in err) == (2, True), kind
    assert (victim.root / ".git/config").read_bytes() == before
    assert not (victim.root / ".git/hooks/post-merge").exists()


def test_hooks_know_worktrees_and_submodules(tmp_path: Path) -> None:
    main = GitProject(tmp_path / "main")
    main.record(1, "use-queues")
    main.commit()
    main("worktree", "add", "-q", str(tmp_path / "second"))
    assert adr(tmp_path / "second", "hooks")[0] == 0
    assert (main.root / ".git/hooks/post-merge").exists()
    outer = GitProject(tmp_path / "outer")
    outer("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(main.root), "sub")
    assert adr(outer.root / "sub", "hooks")[0] == 0
    assert (outer.root / ".git/modules/sub/hooks/post-merge").exists()
