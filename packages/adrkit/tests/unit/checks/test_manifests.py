"""Dependencies that Poetry, uv, npm, Go and Cargo declare: kept, broken, impossible to tell."""

from __future__ import annotations

import pytest

from adrkit.checks.manifests.semver import cargo_range, is_within, npm_range, wanted_range
from adrkit.testing import GitProject

from .conftest import Checked


def _verdict(check: Checked, file: str, keys: str) -> str:
    lines = "\n".join(part.strip() for part in keys.split(";"))
    return check.verdict(f"[[dependency]]\nfiles = ['{file}']\n{lines}")


POETRY = """
[tool.poetry.dependencies]
python = "^3.11"
Django = "^5.0.2"
celery = { version = "~5.4", extras = ["redis"] }
redis = [{ version = "<5", python = "<3.12" }, { version = ">=5,<6", python = ">=3.12" }]
fork = { git = "https://example.com/fork.git" }
boto3 = { version = "1.35.*", optional = true }
either = "1.2 || ^2.1"
[tool.poetry.extras]
aws = ["boto3"]
[tool.poetry.group.test.dependencies]
pytest = "8.3.2"
[tool.poetry.dev-dependencies]
ruff = "*"
"""


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("package = 'django'", "pass"),
        ("package = 'django'; state = 'absent'", "violated"),
        ("package = 'django'; version = '>=5.0.2,<6'", "pass"),
        ("package = 'django'; version = '^5'", "pass"),
        ("package = 'django'; version = '>=5.1'", "violated"),
        ("package = 'celery'; version = '>=5.4,<5.5'", "pass"),
        ("package = 'celery'; version = '>=5.4,<5.4.9'", "violated"),
        ("package = 'redis'; version = '<6'", "pass"),
        ("package = 'redis'; version = '>=5'", "violated"),
        ("package = 'fork'", "pass"),
        ("package = 'fork'; version = '>=1'", "error"),
        ("package = 'boto3'; scope = 'project'", "violated"),
        ("package = 'boto3'; scope = 'extra:aws'; version = '~=1.35.0'", "pass"),
        ("package = 'either'; version = '>=1,<3'", "pass"),
        ("package = 'either'; version = '1.2 || >=2,<3'", "pass"),
        ("package = 'either'; version = '>=2'", "violated"),
        ("package = 'pytest'; scope = 'group:test'; version = '==8.3.2'", "pass"),
        ("package = 'pytest'; scope = 'project'", "violated"),
        ("package = 'ruff'; scope = 'group:dev'", "pass"),
        ("package = 'ruff'; version = '>=0.1'", "violated"),
        ("package = 'python'; state = 'absent'", "pass"),
        ("package = 'flask'; state = 'absent'", "pass"),
    ],
)
def test_poetry(check: Checked, project: GitProject, keys: str, verdict: str) -> None:
    project.write("api/pyproject.toml", POETRY)
    assert _verdict(check, "api/pyproject.toml", keys) == verdict


def test_poetry_fills_what_a_project_calls_dynamic(check: Checked, project: GitProject) -> None:
    text = "[project]\nname = 'x'\ndynamic = ['dependencies']\n"
    project.write("a/pyproject.toml", text + "[tool.poetry.dependencies]\nredis = '^5'\n")
    assert _verdict(check, "a/pyproject.toml", "package = 'redis'; version = '<6'") == "pass"


@pytest.mark.parametrize("entry", ["Redis = '^5'\nredis = '^4'", "redis = 5"])
def test_poetry_entry_that_cannot_be_read_is_an_error(
    check: Checked, project: GitProject, entry: str
) -> None:
    project.write("a/pyproject.toml", f"[tool.poetry.dependencies]\n{entry}\n")
    assert _verdict(check, "a/pyproject.toml", "package = 'redis'") == "error"


UV = """
[project]
name = "x"
dependencies = ["redis>=5,<6", "ours", "pinned>=1,<2"]
[dependency-groups]
dev = ["pytest>=8", {include-group = "Lint"}]
lint = ["ruff>=0.6,<1"]
[tool.uv]
dev-dependencies = ["mypy"]
override-dependencies = ["pinned==3"]
[tool.uv.sources]
ours = { path = "../ours" }
redis = { index = "mirror" }
"""


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("package = 'ruff'; scope = 'group:dev'", "pass"),
        ("package = 'ruff'; scope = 'group:lint'; version = '<1'", "pass"),
        ("package = 'mypy'; scope = 'group:dev'", "pass"),
        ("package = 'mypy'; state = 'absent'", "violated"),
        ("package = 'redis'; version = '<6'", "pass"),
        ("package = 'ours'", "pass"),
        ("package = 'ours'; version = '>=0'", "error"),
        ("package = 'pinned'; version = '<2'", "error"),
    ],
)
def test_uv(check: Checked, project: GitProject, keys: str, verdict: str) -> None:
    project.write("a/pyproject.toml", UV)
    assert _verdict(check, "a/pyproject.toml", keys) == verdict


@pytest.mark.parametrize(
    "groups",
    [
        "dev = [{include-group = 'gone'}]",
        "dev = [{include-group = 'lint'}]\nlint = [{include-group = 'dev'}]",
        "dev = []\nDEV = []",
        "dev = [3]",
    ],
)
def test_dependency_groups_that_cannot_be_read_are_an_error(
    check: Checked, project: GitProject, groups: str
) -> None:
    project.write("a/pyproject.toml", f"[dependency-groups]\n{groups}\n")
    assert _verdict(check, "a/pyproject.toml", "package = 'x'; state = 'absent'") == "error"


PACKAGE = """{
  "name": "web",
  "dependencies": {
    "react": "^18.2.0", "left-pad": "latest", "@scope/kit": "workspace:^", "ours": "file:../ours",
    "old": "npm:lodash@~4.17.20", "fork": "github:me/fork", "any": "*", "pre": "^2.0.0-rc.1",
    "forced": "^1.0.0", "both": "^1.0.0", "none": ">2 <1"
  },
  "devDependencies": { "vite": "5.x || >=6.1 <7" },
  "peerDependencies": { "vue": ">=3" },
  "optionalDependencies": { "fsevents": "2.3.3", "both": "^2.0.0" },
  "overrides": { "parent": { "forced@^1": "2.0.0" } }
}"""


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("package = 'react'", "pass"),
        ("package = 'react'; state = 'absent'", "violated"),
        ("package = 'react'; version = '^18'", "pass"),
        ("package = 'react'; version = '>=18.2,<19'", "pass"),
        ("package = 'react'; version = '^18.2.1'", "violated"),
        ("package = 'react'; version = '18.2.0'", "violated"),
        ("package = 'react'; version = 'newest'", "error"),
        ("package = 'react'; scope = 'dev'", "violated"),
        ("package = 'left-pad'; version = '>=1'", "error"),
        ("package = '@scope/kit'", "pass"),
        ("package = '@scope/kit'; version = '>=0'", "error"),
        ("package = 'ours'; version = '>=0'", "error"),
        ("package = 'fork'; version = '>=0'", "error"),
        ("package = 'pre'; version = '>=1'", "error"),
        ("package = 'forced'; version = '^1'", "error"),
        ("package = 'none'; version = '>=0'", "error"),
        ("package = 'any'; version = '>=1'", "violated"),
        ("package = 'lodash'; version = '4.17.x'", "pass"),
        ("package = 'lodash'; state = 'absent'", "violated"),
        ("package = 'old'", "violated"),
        ("package = 'both'; version = '^2'; scope = 'optional'", "pass"),
        ("package = 'both'; scope = 'project'", "violated"),
        ("package = 'vite'; scope = 'dev'; version = '>=5 <7'", "pass"),
        ("package = 'vite'; version = '>=5.1 <7'", "violated"),
        ("package = 'vite'; state = 'absent'; scope = 'project'", "pass"),
        ("package = 'vue'; scope = 'peer'; version = '>=2'", "pass"),
        ("package = 'fsevents'; scope = 'optional'; version = '2.3.3'", "pass"),
        ("package = 'React'", "violated"),
    ],
)
def test_package_json(check: Checked, project: GitProject, keys: str, verdict: str) -> None:
    project.write("web/package.json", PACKAGE)
    assert _verdict(check, "web/package.json", keys) == verdict


@pytest.mark.parametrize(
    "text",
    [
        '{"dependencies": {"react": "1"}, "dependencies": {}}',
        '{"dependencies": {"react": "1", "react": "2"}}',
        '{"dependencies": ["react"]}', '{"dependencies": {"react": 18}}', "[]", "{",
    ],
)  # fmt: skip
def test_package_json_that_cannot_be_read_is_an_error(
    check: Checked, project: GitProject, text: str
) -> None:
    project.write("package.json", text)
    assert _verdict(check, "package.json", "package = 'x'; state = 'absent'") == "error"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("package.json", '{"dependencies": {}}'), ("go.mod", "module x\n"),
        ("Cargo.toml", "[package]\nname = 'x'\n"), ("a/pyproject.toml", "[project]\nname = 'x'\n"),
    ],
)  # fmt: skip
def test_manifest_in_utf16_is_an_error(
    check: Checked, project: GitProject, encoding: str, file: str, text: str
) -> None:
    project.write(file, "")
    (project.root / file).write_bytes(text.encode(encoding))
    assert _verdict(check, file, "package = 'x'; state = 'absent'") == "error"


def test_members_of_a_workspace_are_read_with_it(check: Checked, project: GitProject) -> None:
    project.write("package.json", '{"workspaces": ["packages/*", "!packages/old"]}')
    project.write("packages/a/package.json", '{"dependencies": {"moment": "^2.1.0"}}')
    project.write("packages/old/package.json", '{"dependencies": {"jquery": "^3.1.0"}}')
    result = check.one("[[dependency]]\npackage = 'moment'\nstate = 'absent'")
    assert (result.verdict.value, str(result.evidence)) == (
        "violated",
        "packages/a/package.json:1",
    )
    assert check.verdict("[[dependency]]\npackage = 'jquery'\nstate = 'absent'") == "pass"


def test_first_of_several_files_that_require_it_is_named(
    check: Checked, project: GitProject
) -> None:
    project.write("package.json", '{"workspaces": ["packages/*"]}')
    for name in ("a", "b"):
        project.write(f"packages/{name}/package.json", '{"dependencies": {"moment": "^2.1.0"}}')
    result = check.one("[[dependency]]\npackage = 'moment'")
    assert result.message == "packages/a/package.json:1 requires it"
    assert str(result.evidence) == "packages/a/package.json:1"


GO = """module example.com/shop // import "example.com/shop"

go 1.22

require github.com/jackc/pgx/v5 v5.6.0
require (
\tgithub.com/old/thing v1.2.3 // indirect
\t"github.com/quoted/one" v1.4.0
\tgithub.com/forked/lib v1.0.0 // a comment, not indirect
\tgithub.com/here/local v1.0.0
\tgithub.com/moved/up v1.0.0
\tgithub.com/pseudo/x v0.0.0-20240101000000-abcdefabcdef
\tgithub.com/out/y v1.1.0
)
replace (
\tgithub.com/forked/lib => github.com/me/lib v1.0.1
\tgithub.com/here/local => ../local
\tgithub.com/moved/up v1.0.0 => github.com/moved/up v1.9.0
)
exclude github.com/out/y v1.1.0
"""


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("package = 'github.com/jackc/pgx/v5'", "pass"),
        ("package = 'github.com/jackc/pgx/v5'; version = '>=5.5 <5.7'", "pass"),
        ("package = 'github.com/jackc/pgx/v5'; version = '>=5.7'", "violated"),
        ("package = 'github.com/jackc/pgx'; state = 'absent'", "pass"),
        ("package = 'github.com/old/thing'", "violated"),
        ("package = 'github.com/old/thing'; state = 'absent'", "violated"),
        ("package = 'github.com/old/thing'; state = 'absent'; scope = 'project'", "pass"),
        ("package = 'github.com/old/thing'; scope = 'indirect'; version = '1.2.3'", "pass"),
        ("package = 'github.com/quoted/one'; version = '^1.4'", "pass"),
        ("package = 'github.com/forked/lib'", "error"),
        ("package = 'github.com/forked/lib'; state = 'absent'", "violated"),
        ("package = 'github.com/me/lib'; state = 'absent'", "violated"),
        ("package = 'github.com/here/local'", "pass"),
        ("package = 'github.com/here/local'; version = '>=1'", "error"),
        ("package = 'github.com/moved/up'; version = '>=1.9'", "pass"),
        ("package = 'github.com/moved/up'; version = '<1.9'", "violated"),
        ("package = 'github.com/pseudo/x'; version = '>=0.0.1'", "violated"),
        ("package = 'github.com/out/y'; version = '1.1.0'", "error"),
    ],
)
def test_go_mod(check: Checked, project: GitProject, keys: str, verdict: str) -> None:
    project.write("go.mod", GO)
    assert _verdict(check, "go.mod", keys) == verdict


def test_old_go_mod_states_the_least_version_only(check: Checked, project: GitProject) -> None:
    project.write("go.mod", "module x\ngo 1.16\nrequire example.com/a v1.2.0\n")
    assert _verdict(check, "go.mod", "package = 'example.com/a'; version = '>=1.2 <2'") == "pass"
    assert _verdict(check, "go.mod", "package = 'example.com/a'; version = '1.2.0'") == "violated"


def test_workspace_of_go_decides_on_versions(check: Checked, project: GitProject) -> None:
    project.write("a/go.mod", "module x\ngo 1.22\nrequire example.com/a v1.2.0\n")
    project.write("go.work", "go 1.22\nuse ./a\n")
    assert _verdict(check, "a/go.mod", "package = 'example.com/a'; version = '1.2.0'") == "error"
    assert _verdict(check, "a/go.mod", "package = 'example.com/a'") == "pass"


@pytest.mark.parametrize(
    "text",
    [
        "module x\nrequire example.com/a v1.0.0\nrequire example.com/a v1.1.0\n",
        "module x\nrequire (\n example.com/a v1.0.0\n", "module x\nmodule y\n", "requires a v1\n",
        "module x\nrequire example.com/a\n", "module x\nreplace a b\n",
        "module x\nreplace a => ./b\nreplace a => ./c\n",
    ],
)  # fmt: skip
def test_go_mod_that_cannot_be_read_is_an_error(
    check: Checked, project: GitProject, text: str
) -> None:
    project.write("go.mod", text)
    assert _verdict(check, "go.mod", "package = 'x.org/y'; state = 'absent'") == "error"


CARGO = """
[workspace]
members = ["crates/*"]
exclude = ["crates/gone"]
[workspace.dependencies]
serde = { version = "1.0.200", features = ["derive"] }
unused = "3"
[patch.crates-io]
patched = { path = "vendor/patched" }
"""
CRATE = """
[package]
name = "a"
[dependencies]
serde = { workspace = true, optional = true }
tokio = "1.38"
renamed = { package = "openssl_sys", version = "=0.9.102" }
patched = "1"
local = { path = "../local" }
[dependencies.table]
version = ">=1.2, <1.5"
[dev-dependencies]
insta = "1"
[build-dependencies]
cc = "1.0"
[target.'cfg(windows)'.dependencies]
winapi = "0.3"
[target.'cfg(unix)'.dev-dependencies]
nix = "0.29"
"""


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("package = 'tokio'; version = '>=1.38 <2'", "pass"),
        ("package = 'tokio'; version = '1.38'", "pass"),
        ("package = 'tokio'; version = '=1.38'", "violated"),
        ("package = 'serde'; scope = 'optional'; version = '>=1.0.200, <2'", "pass"),
        ("package = 'serde'; version = '>=1.0.201'", "violated"),
        ("package = 'serde'; scope = 'project'", "violated"),
        ("package = 'openssl-sys'; version = '0.9.102'", "pass"),
        ("package = 'openssl_sys'; state = 'absent'", "violated"),
        ("package = 'renamed'", "violated"),
        ("package = 'patched'", "pass"),
        ("package = 'patched'; version = '1'", "error"),
        ("package = 'local'; version = '1'", "error"),
        ("package = 'table'; version = '>=1, <2'", "pass"),
        ("package = 'insta'; scope = 'dev'", "pass"),
        ("package = 'insta'; state = 'absent'; scope = 'project'", "pass"),
        ("package = 'cc'; scope = 'build'", "pass"),
        ("package = 'winapi'; scope = 'target'; version = '0.3'", "pass"),
        ("package = 'winapi'; scope = 'project'", "violated"),
        ("package = 'nix'; scope = 'dev'", "pass"),
        ("package = 'unused'", "violated"),
        ("package = 'unused'; state = 'absent'", "violated"),
        ("package = 'unused'; scope = 'workspace'", "pass"),
    ],
)
def test_cargo(check: Checked, project: GitProject, keys: str, verdict: str) -> None:
    project.write("Cargo.toml", CARGO)
    project.write("crates/a/Cargo.toml", CRATE)
    project.write("crates/gone/Cargo.toml", "[package\n")
    assert _verdict(check, "Cargo.toml", keys) == verdict


@pytest.mark.parametrize(
    "text",
    [
        "[package]\nname='a'\n[dependencies]\nserde = { workspace = true }\n",
        "[package]\nname='a'\n[dependencies]\nserde = 1\n", "[package\n",
        "[package]\nname='a'\n[dependencies]\nserde = '1'\nserde = '2'\n",
    ],
)  # fmt: skip
def test_cargo_toml_that_cannot_be_read_is_an_error(
    check: Checked, project: GitProject, text: str
) -> None:
    project.write("Cargo.toml", text)
    assert _verdict(check, "Cargo.toml", "package = 'serde'; version = '1'") == "error"


def test_by_default_the_one_manifest_that_is_there_is_read(
    check: Checked, project: GitProject
) -> None:
    block = "[[dependency]]\npackage = 'react'"
    assert check.verdict(block) == "missing"
    project.write("package.json", '{"dependencies": {"react": "^18.0.0"}}')
    assert check.verdict(block) == "pass"
    project.write("go.mod", "module x\n")
    assert check.verdict(block) == "error"
    project.write("requirements.txt", "redis\n")
    assert check.verdict(block) == "violated"


@pytest.mark.parametrize("file", ["poetry.lock", "package-lock.json", "go.sum", "pom.xml"])
def test_lock_is_no_declaration(check: Checked, project: GitProject, file: str) -> None:
    project.write(file, "{}")
    assert _verdict(check, file, "package = 'x'; state = 'absent'") == "error"


@pytest.mark.parametrize(
    ("declared", "releases", "others"),
    [
        ("^1.2.3", [(1, 2, 3), (1, 9, 0)], [(1, 2, 2), (2, 0, 0)]),
        ("^0.2.3", [(0, 2, 3), (0, 2, 9)], [(0, 3, 0)]),
        ("^0.0.3", [(0, 0, 3)], [(0, 0, 4)]),
        ("^0.0", [(0, 0, 9)], [(0, 1, 0)]),
        ("^0", [(0, 9, 9)], [(1, 0, 0)]),
        ("~1.2", [(1, 2, 9)], [(1, 3, 0)]),
        ("~1", [(1, 9, 0)], [(2, 0, 0)]),
        ("1.x", [(1, 9, 9)], [(2, 0, 0), (0, 9, 9)]),
        (">1.2", [(1, 3, 0)], [(1, 2, 9)]),
        ("<=1.2", [(1, 2, 9)], [(1, 3, 0)]),
        ("1.2 - 2.3", [(1, 2, 0), (2, 3, 9)], [(2, 4, 0)]),
        (">= 1.2 < 2", [(1, 2, 0)], [(2, 0, 0)]),
        ("1.2.3 || ^3", [(1, 2, 3), (3, 1, 0)], [(1, 2, 4), (2, 0, 0)]),
        ("", [(0, 0, 0), (99, 0, 0)], []),
    ],
)
def test_ranges_of_npm_hold_the_releases_that_npm_takes(
    declared: str, releases: list[tuple[int, int, int]], others: list[tuple[int, int, int]]
) -> None:
    wanted = npm_range(declared)
    for release, inside in [(r, True) for r in releases] + [(r, False) for r in others]:
        point = (release, (*release[:2], release[2] + 1))
        assert is_within([point], wanted) is inside, release


def test_bare_versions_are_carets_to_cargo() -> None:
    assert cargo_range("1.2") == npm_range("^1.2")
    assert cargo_range("=1.2.3") == npm_range("1.2.3")


def test_a_union_without_a_gap_is_one_range() -> None:
    assert is_within(npm_range(">=1 <3"), wanted_range("^1 || ^2", bare="="))
    assert not is_within(npm_range(">=1 <3"), wanted_range("^1 || ~2.1", bare="="))
