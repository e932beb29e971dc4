"""Kinds that read files or run something: kept, broken, without evidence, impossible."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adrkit.checks import Verdict
from adrkit.checks.patterns import Patterns, pattern_problem
from adrkit.checks.verdict import CannotEvaluate
from adrkit.testing import GitProject

from .conftest import Checked

Write = Callable[[str, str], object]


# --- dependency --------------------------------------------------------------------------------

PYPROJECT = """
[project]
name = "x"
dependencies = ["Celery[redis] >=5.4,<6", "boto3==1.35.2; python_version > '3'"]
[project.optional-dependencies]
local = ["moto>=5"]
[dependency-groups]
dev = ["pytest~=8.3", {include-group = "lint"}]
lint = ["ruff"]
"""


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("package = 'celery'", "pass"),
        ("package = 'CELERY'\nversion = '>=5,<6'", "pass"),
        ("package = 'celery'\nversion = '>=5.4,<6'", "pass"),
        ("package = 'celery'\nversion = '>=5.5'", "violated"),
        ("package = 'celery'\nversion = '<5.9'", "violated"),
        ("package = 'celery'\nversion = '!=5.5'", "violated"),
        ("package = 'boto3'\nversion = '~=1.35'", "pass"),
        ("package = 'boto3'\nversion = '>1.35.2'", "violated"),
        ("package = 'pytest'\nversion = '==8.*'", "pass"),
        ("package = 'pytest'\nversion = '==8.3.*'", "violated"),
        ("package = 'ruff'\nversion = '>0'", "violated"),
        ("package = 'django'", "violated"),
        ("package = 'django'\nstate = 'absent'", "pass"),
        ("package = 'moto'\nstate = 'absent'", "violated"),
        ("package = 'moto'\nstate = 'absent'\nscope = 'project'", "pass"),
        ("package = 'moto'\nscope = 'extra:Local'", "pass"),
        ("package = 'pytest'\nscope = 'group:dev'", "pass"),
        ("package = 'pytest'\nscope = 'extra:local'", "violated"),
    ],
)
def test_dependency_in_pyproject(check: Checked, write: Write, keys: str, verdict: str) -> None:
    write("pyproject.toml", PYPROJECT)
    assert check.verdict(f"[[dependency]]\n{keys}") == verdict


def test_dependency_in_requirements_files(check: Checked, write: Write) -> None:
    write(
        "requirements.txt",
        "# comment\n-r requirements/base.in\n--index-url x\n-e ./pkg\n./wheel.whl\n"
        "redis==5.1 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11  # why\n",
    )
    write("requirements/base.in", "-r ../requirements.txt\nlocal_package>=2\n")
    assert check.verdict("[[dependency]]\npackage = 'redis'\nversion = '<6'") == "pass"
    # An included file outside of its directory is reached through the project's root only.
    result = check.one("[[dependency]]\npackage = 'local-package'")
    assert result.verdict is Verdict.PASS
    assert str(result.evidence) == "requirements/base.in:2"


def test_dependency_without_a_declaration_that_can_be_read_is_missing(
    check: Checked, write: Write
) -> None:
    block = "[[dependency]]\npackage = 'django'\nstate = 'absent'"
    assert check.verdict(block) == "missing"
    write("pyproject.toml", "[tool.ruff]\nline-length = 100\n")
    assert check.verdict(block) == "missing"
    write("pyproject.toml", "[project]\ndynamic = ['dependencies']\n")
    assert check.verdict(block) == "error"
    write("pyproject.toml", "[project\n")
    with pytest.raises(Exception, match="not valid TOML"):
        check(block)  # the project's settings live there, too


# --- config ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "text", "keys", "verdict"),
    [
        ("a.toml", "[t]\nn = 3", "pointer = '/t/n'\nvalue = 3", "pass"),
        ("a.toml", "[t]\nn = 3", "pointer = '/t/n'\nvalue = 3.0", "pass"),
        ("a.toml", "[t]\nn = 3", "pointer = '/t/n'\nvalue = '3'", "violated"),
        ("a.toml", "[t]\nn = true", "pointer = '/t/n'\nvalue = 1", "violated"),
        ("a.toml", "[t]\nn = 3", "pointer = '/t/m'\nvalue = 3", "missing"),
        ("a.toml", "[t]\nn = 3", "pointer = '/t/n'\noperator = '<='\nvalue = 2", "violated"),
        ("a.toml", "[t]\nn = '3'", "pointer = '/t/n'\noperator = '<='\nvalue = 2", "error"),
        ("a.toml", "[t]\nn = 3", "pointer = '/t/m'\noperator = 'absent'", "pass"),
        ("a.toml", "[t]\nn = 3", "pointer = '/t/n'\noperator = 'absent'", "violated"),
        ("a.toml", "[t]\nn = 3", "pointer = '/t/n'\noperator = 'exists'", "pass"),
        ("a.toml", "d = 2026-01-31", "pointer = '/d'\nvalue = '2026-01-31'", "pass"),
        ("a.json", '{"a/b": [1, {"c~": "x"}]}', "pointer = '/a~1b/1/c~0'\nvalue = 'x'", "pass"),
        ("a.json", '{"a": [1]}', "pointer = '/a/01'\nvalue = 1", "missing"),
        ("a.json", '{"a": [1, 2]}', "pointer = '/a'\nvalue = [1, 2]", "pass"),
        ("a.json", '{"a": [1, 2]}', "pointer = '/a'\noperator='contains'\nvalue = 3", "violated"),
        ("a.json", '{"a": "eu"}', "pointer = '/a'\noperator='in'\nvalue = ['eu', 'us']", "pass"),
        ("a.json", '{"a": "eu-1"}', "pointer = '/a'\noperator='matches'\nvalue = '^eu-'", "pass"),
        ("a.json", '{"a": 1}', "pointer = '/a'\noperator='matches'\nvalue = '^eu-'", "violated"),
        ("a.json", "{", "pointer = '/a'\nvalue = 1", "error"),
        ("a.yml", "a:\n  - b: 1", "pointer = '/a/0/b'\nvalue = 1", "pass"),
        ("a.yml", "a: !Ref x", "pointer = '/a'\nvalue = 'x'", "pass"),
        ("a.yml", "a: !!python/object/apply:os.getcwd []", "pointer='/a'\nvalue='x'", "error"),
        ("a.ini", "[s]\nKey = 5", "pointer = '/s/Key'\noperator = '<'\nvalue = 6", "pass"),
        ("a.cfg", "[s]\nkey = x%y", "pointer = '/s/key'\nvalue = 'x%y'", "pass"),
        ("a.conf", "[s]\nkey = v", "format = 'ini'\npointer = '/s/key'\nvalue = 'v'", "pass"),
        ("a.json", "[" * 100_000, "pointer = '/a'\nvalue = 1", "error"),
    ],
)
def test_config(
    check: Checked, write: Write, file: str, text: str, keys: str, verdict: str
) -> None:
    write(file, text)
    assert check.verdict(f"[[config]]\nfile = '{file}'\n{keys}") == verdict


def test_config_of_a_file_that_is_not_there_is_missing(check: Checked) -> None:
    assert check.verdict("[[config]]\nfile = 'a.toml'\npointer = '/a'\nvalue = 1") == "missing"


# --- benchmark ---------------------------------------------------------------------------------

RESULTS = """{"at": "2026-05-22T00:00:00+00:00", "epoch": 1779408000, "unit": "s",
 "async": {"median": 5.7, "text": "fast", "nan": NaN}, "sync": {"median": 35}}"""


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("pointer = '/async/median'\noperator = '<'\nvalue = 60", "pass"),
        ("pointer = '/async/median'\noperator = '<'\nvalue = 5", "violated"),
        ("pointer = '/async/median'\noperator = '<'\nvalue = 5\ntolerance = 0.2", "pass"),
        ("pointer = '/async/median'\noperator = '>'\nvalue = 6\ntolerance = 0.1", "pass"),
        ("pointer = '/async/median'\noperator = '=='\nvalue = 6\ntolerance = 0.1", "pass"),
        ("pointer = '/async/median'\noperator = '!='\nvalue = 6\ntolerance = 0.1", "violated"),
        ("pointer = '/sync/median'\noperator='>='\nagainst='/async/median'\nfactor = 3", "pass"),
        ("pointer = '/sync/median'\noperator='>='\nagainst='/async/median'\nfactor=9", "violated"),
        ("pointer = '/async/median'\noperator='=='\nagainst='/async/median'", "pass"),
        ("pointer = '/async/median'\noperator = '!='\nvalue = 5.7", "violated"),
        ("pointer = '/async/median'\noperator = '<'\nvalue = 5.7", "violated"),
        ("pointer = '/async/median'\noperator = '<='\nvalue = 5.7", "pass"),
        ("pointer = '/gone'\noperator = '<'\nvalue = 1", "missing"),
        ("pointer = '/async/median'\noperator = '<'\nagainst = '/gone'", "missing"),
        ("pointer = '/async/text'\noperator = '<'\nvalue = 1", "error"),
        ("pointer = '/async/nan'\noperator = '<'\nvalue = 1", "error"),
        ("pointer='/async/median'\noperator='<'\nvalue=60\nunit='s'\nunit-pointer='/unit'", "pass"),
        (
            "pointer='/async/median'\noperator='<'\nvalue=6\nunit='ms'\nunit-pointer='/unit'",
            "error",
        ),
        ("pointer='/async/median'\noperator='<'\nvalue=6\nunit='s'\nunit-pointer='/u'", "missing"),
    ],
)
def test_benchmark(check: Checked, write: Write, keys: str, verdict: str) -> None:
    write("results.json", RESULTS)
    assert check.verdict(f"[[benchmark]]\nfile = 'results.json'\n{keys}") == verdict


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("timestamp = '/at'\nmax-age-days = 10", "pass"),  # measured 10 days before NOW
        ("timestamp = '/at'\nmax-age-days = 9", "stale"),
        ("timestamp = '/epoch'\nmax-age-days = 10", "pass"),
        ("timestamp = '/epoch'\nmax-age-days = 9", "stale"),
        ("timestamp = '/gone'\nmax-age-days = 9", "missing"),
        ("timestamp = '/async/text'\nmax-age-days = 9", "error"),
    ],
)
def test_benchmark_age_by_its_timestamp(
    check: Checked, write: Write, keys: str, verdict: str
) -> None:
    write("results.json", RESULTS)
    block = "[[benchmark]]\nfile='results.json'\npointer='/async/median'\noperator='<'\nvalue=60\n"
    assert check.verdict(block + keys) == verdict


def test_benchmark_that_is_old_and_violates_is_violated(check: Checked, write: Write) -> None:
    write("results.json", RESULTS)
    block = "[[benchmark]]\nfile='results.json'\npointer='/async/median'\noperator='<'\nvalue=1\n"
    assert check.verdict(block + "timestamp = '/at'\nmax-age-days = 1") == "violated"


def test_benchmark_age_by_its_last_commit(
    check: Checked, project: GitProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("results.json", RESULTS)
    block = "[[benchmark]]\nfile='results.json'\npointer='/async/median'\noperator='<'\nvalue=60\n"
    assert check.verdict(block + "max-age-days = 9") == "missing"  # never committed
    dates = {"2026-05-25": "pass", "2026-05-01": "stale", "2030-01-01": "error"}
    for blank_lines, (date, verdict) in enumerate(dates.items()):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{date}T00:00:00Z")
        project.write("results.json", RESULTS + "\n" * blank_lines)
        project.commit()
        assert check.verdict(block + "max-age-days = 9") == verdict


def test_benchmark_without_a_file_is_missing(check: Checked) -> None:
    block = "[[benchmark]]\nfile = 'r.json'\npointer = '/a'\noperator = '<'\nvalue = 1"
    assert check.verdict(block) == "missing"


# --- regex -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("files = 'src/*.sql'\npattern = 'SKIP LOCKED'", "pass"),
        ("files = 'src/*.sql'\npattern = 'NOWAIT'", "violated"),
        ("files = 'src/*.sql'\npattern = 'SKIP LOCKED'\nexpect = 'each'", "violated"),
        ("files = 'src/*.sql'\npattern = '^select'\nexpect = 'each'", "pass"),
        ("files = 'src/*.sql'\npattern = 'DROP'\nexpect = 'no-match'", "pass"),
        ("files = 'src/*.sql'\npattern = 'SKIP'\nexpect = 'no-match'", "violated"),
        ("files = 'src/*.sql'\nexcept = 'src/a.sql'\npattern = 'SKIP'\nexpect='no-match'", "pass"),
        ("files = 'lib/*.sql'\npattern = 'DROP'\nexpect = 'no-match'", "missing"),
        ("files = 'lib/a.sql'\npattern = 'DROP'\nexpect = 'no-match'", "missing"),
    ],
)
def test_regex(check: Checked, write: Write, keys: str, verdict: str) -> None:
    write("src/a.sql", "select 1\nselect 2 FOR UPDATE SKIP LOCKED\n")
    write("src/b.sql", "-- é\nselect 3\n")
    assert check.verdict(f"[[regex]]\n{keys}") == verdict


def test_regex_names_file_and_line(check: Checked, write: Write) -> None:
    write("src/a.sql", "select 1\nselect 2 FOR UPDATE SKIP LOCKED\n")
    result = check.one("[[regex]]\nfiles = 'src/**'\npattern = 'SKIP'\nexpect = 'no-match'")
    assert str(result.evidence) == "src/a.sql:2"


def test_regex_that_never_ends_is_ended(check: Checked, write: Write) -> None:
    write("adrkit.toml", "[check]\npattern-timeout-seconds = 0.5\n")
    write("a.txt", "a" * 60 + "b")
    result = check.one("[[regex]]\nfiles = 'a.txt'\npattern = '(a|aa)+$'")
    assert result.verdict is Verdict.ERROR
    assert "took more than 0.5 s" in result.message
    write("a.json", '{"a": "' + "a" * 60 + 'b"}')
    block = "[[config]]\nfile='a.json'\npointer='/a'\noperator='matches'\nvalue='(a|aa)+$'"
    assert check.verdict(block) == "error"


def test_regex_has_one_time_limit_for_all_its_files() -> None:
    def files() -> Iterator[tuple[str, bytes]]:
        for at in itertools.count():
            yield f"{at}.txt", b"a" * 22 + b"b"  # some hundredths of a second each

    with pytest.raises(CannotEvaluate, match=r"took more than 0\.3 s"):
        Patterns(0.3).search_files("(a|aa)+$", files())


@pytest.mark.parametrize("pattern", ["(a+)+$", "(.*)*x", "(\\w+\\s?)*:", "(?:a?){60}a{60}"])
def test_regex_that_would_backtrack_for_ever_ends(
    check: Checked, write: Write, pattern: str
) -> None:
    write("a.txt", "a" * 59 + "\u00e9" * 500 + "b")
    block = f"[[regex]]\nfiles = 'a.txt'\npattern = '{pattern}'\nexpect = 'no-match'"
    assert check.verdict(block) == "pass"


@pytest.mark.parametrize(
    ("pattern", "verdict"),
    [
        ("[[:alpha:]]", "error"), ("[^[:digit:]]", "error"), ("(?:select){e<=1}", "error"),
        ("(abc){i}", "error"), ("x{1i+1d<3}", "error"), ("(?:", "error"), ("\\p{Lu}", "error"),
        ("a{2}", "pass"), ("\\{name\\}", "violated"), ("\\N{DIGIT ONE}", "violated"),
        ("(?P<x>a)(?P=x)", "pass"), ("^b$", "pass"), ("a{1,60000}", "pass"),
    ],
)  # fmt: skip
def test_regex_means_what_it_means_to_python(
    check: Checked, write: Write, pattern: str, verdict: str
) -> None:
    write("a.txt", "aaa\nb\nselect\n")
    assert check.verdict(f"[[regex]]\nfiles = 'a.txt'\npattern = '{pattern}'") == verdict


@given(
    st.recursive(
        st.sampled_from([*"abA_1 .^$", "\\w", "\\s", "\\d", "\\b", "\n", "[^a]", "[a-c]", "[]a]"]),
        lambda part: st.one_of(
            st.tuples(part, part).map("".join),
            st.tuples(part, part).map(lambda two: f"(?:{two[0]}|{two[1]})"),
            st.tuples(part, st.sampled_from(["*", "+?", "?", "{1,2}"])).map(
                lambda two: f"({two[0]}){two[1]}"
            ),
            part.map(lambda text: f"(?={text})"),
            part.map(lambda text: f"(?<!{text})"),
            part.map(lambda text: f"(?i:{text})"),
        ),
        max_leaves=6,
    ),
    st.text("abcABC_1 .\n\t", max_size=12),
)
def test_both_engines_find_the_same(pattern: str, text: str) -> None:
    try:
        expected = re.search(pattern, text, re.MULTILINE)
    except re.error:
        assert pattern_problem(pattern)
        return
    answer = Patterns().search_files(pattern, [("a", text.encode())])
    assert [m.text for m in answer.matches] == ([expected.group()] if expected else [])


# --- command -----------------------------------------------------------------------------------


def test_command_is_not_run_unless_allowed(check: Checked, project: GitProject) -> None:
    block = "[[command]]\nrun = ['python3', '-c', 'open(\"ran\", \"w\")']"
    result = check.one(block)
    assert result.verdict is Verdict.MISSING
    assert "--allow-commands" in result.message
    check.commands = "skip"
    assert check(block) == []
    assert not (project.root / "ran").exists()
    check.commands = "allow"
    assert check.verdict(block) == "pass"
    assert (project.root / "ran").exists()


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("run = ['true']", "pass"),
        ("run = ['false']", "violated"),
        ("run = ['false']\nexit-code = 1", "pass"),
        ("run = ['sleep', '60']\ntimeout-seconds = 0.2", "violated"),
        ("run = ['sh', '-c', 'sleep 60 & sleep 60']\ntimeout-seconds = 0.2", "violated"),
        ("run = ['no-such-program-anywhere']", "error"),
        ("run = ['echo', '$(false)', ';', 'false']", "pass"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="uses POSIX programs")
def test_command(check: Checked, keys: str, verdict: str) -> None:
    check.commands = "allow"
    assert check.verdict(f"[[command]]\n{keys}") == verdict


def test_command_that_fails_shows_its_last_line(check: Checked) -> None:
    check.commands = "allow"
    result = check.one("[[command]]\nrun = ['sh', '-c', 'echo one; echo two >&2; exit 3']")
    assert result.message.endswith("ended with 3, must be 0: two")
