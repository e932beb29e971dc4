from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adrkit.checks import KINDS, Level, Malformed, Verdict, read_checks
from adrkit.checks.toml_lines import table_lines
from adrkit.record import Record
from adrkit.testing import house

from .conftest import Checked


def test_kinds_of_the_issue_are_all_registered() -> None:
    assert set(KINDS) == {
        "path-exists", "symbol-exists", "import-forbidden", "dependency", "config", "setting",
        "regex", "test", "benchmark", "command",
    }  # fmt: skip
    assert all(name == kind.kind for name, kind in KINDS.items())


@pytest.mark.parametrize(
    ("block", "line", "said"),
    [
        ("[[path-exist]]\npath = 'a'", 1, "did you mean `path-exists`?"),
        ("[[frob]]\nx = 1", 1, "unknown kind of check `frob`"),
        ("[[path-exists]]\npath = 'a'\npaths = 'b'", 3, "did you mean `path`?"),
        ("[[path-exists]]\n\npath = 3", 3, "must be a string"),
        ("[[path-exists]]\npath = ''", 2, "must not be empty"),
        ("[[path-exists]]\npath = []", 2, "non-empty array"),
        ("[[path-exists]]", 1, "the key `path` is missing"),
        ("# one\n[[path-exists]]\npath = 'a'\nwhen = 'never'", 4, "`when` must be one of"),
        ("[[path-exists]]\npath = a\n", 2, "no TOML"),
        ("[[path-exists]]\npath = ['a'", 2, "no TOML"),
        ("[path-exists]\npath = 'a'", 1, "write [[path-exists]]"),
        ("", 0, "holds no check"),
        ("[[setting]]\nfile = 'a.py'\nattribute = 'A'\noperator = '~'\nvalue = 1", 4, "one of"),
        ("[[setting]]\nfile = 'a.py'\nattribute = 'A'", 1, "the key `value` is missing"),
        ("[[setting]]\nfile='a.py'\nattribute='A'\noperator='<'\nvalue='3'", 5, "needs a number"),
        ("[[setting]]\nfile='a.py'\nattribute='A'\noperator='in'\nvalue='3'", 5, "an array"),
        ("[[setting]]\nfile='a.py'\nattribute='A'\noperator='exists'\nvalue=1", 5, "no `value`"),
        ("[[setting]]\nfile='a.py'\nattribute='os.system()'\nvalue=1", 3, "no name like"),
        ("[[regex]]\nfiles = 'a'\npattern = '('", 3, "no regular expression"),
        ("[[config]]\nfile = 'a.toml'\npointer = 'tool'\nvalue = 1", 3, "no JSON pointer"),
        ("[[config]]\nfile = 'a.txt'\npointer = '/tool'\nvalue = 1", 1, "format of a.txt"),
        ("[[dependency]]\npackage = 'a b'", 2, "names no package"),
        ("[[dependency]]\npackage = 'a'\nversion = 'new'", 3, "no version range"),
        ("[[dependency]]\npackage='a'\nstate='absent'\nversion='>1'", 4, "no `version`"),
        ("[[test]]\nnode = 'tests/test_a.py'", 2, "no node id"),
        ("[[benchmark]]\nfile='r.json'\npointer='/a'\nvalue=1", 1, "`operator` is missing"),
        ("[[benchmark]]\nfile='r.json'\npointer='/a'\noperator='<'", 1, "`value` or `against`"),
        ("[[benchmark]]\nfile='r'\npointer='/a'\noperator='<'\nvalue=nan", 5, "finite"),
        ("[[command]]\nrun = 'rm -rf /'", 2, "no shell"),
        (
            "[[import-forbidden]]\nfiles='a.py'\nlanguages=['python']\nmodules=['a-b']",
            4,
            "no module",
        ),
        ("[[path-exists]]\npath='a'\nalternative='Streaming'", 3, "no alternative 'Streaming'"),
        ("[[path-exists]]\npath = '../outside'", 1, "holds `..`"),
        ("[[path-exists]]\npath = '/etc/passwd'", 1, "absolute"),
        ("[[path-exists]]\npath = '~/x'", 1, "absolute"),
        ("[[path-exists]]\npath = 'C:/x'", 1, "absolute"),
        ('[[path-exists]]\npath = "a\\\\..\\\\b"', 1, "a character"),
        ("[[path-exists]]\npath = '.git/config'", 1, "git's own"),
        ("[[regex]]\nfiles = ['src', 'src/../../x']\npattern = 'a'", 1, "holds `..`"),
    ],
)
def test_malformed_entry_is_an_error_with_its_line(
    check: Checked, block: str, line: int, said: str
) -> None:
    result = check.one(block)
    assert result.verdict is Verdict.ERROR
    assert result.malformed
    assert said in result.message
    assert result.line == check.first_line + line - 1


def test_malformed_entry_fails_whatever_the_status(check: Checked) -> None:
    for status in ("Proposed", "Rejected", "Deprecated", "Superseded by ADR-0002"):
        assert check.one("[[nothing]]\na = 1", status).level is Level.ERROR


def test_one_bad_entry_leaves_the_others_alone(check: Checked) -> None:
    results = check("[[path-exists]]\npath = 'docs'\n\n[[path-exists]]\npaths = 'x'")
    assert [result.verdict for result in results] == [Verdict.PASS, Verdict.ERROR]


def test_inline_tables_and_headers_mean_the_same_and_keep_their_lines(check: Checked) -> None:
    results = check(
        "path-exists = [\n"
        "  { path = 'docs' },  # ] } [[\n"
        "  { path = ['docs/adr', \"nowhere #\"] },\n"
        "]\n"
        "[[config]]\n"
        "file = 'x.json'\n"
        "pointer = '/a'\n"
        "value = { b = [[1]] }\n"
    )
    assert [(r.kind, r.line - check.first_line, r.verdict.value) for r in results] == [
        ("path-exists", 1, "pass"),
        ("path-exists", 2, "violated"),
        ("config", 4, "missing"),
    ]


@pytest.mark.parametrize("info", ["adr-checks", "adr_check", "ADR-Check", "toml adr-check"])
def test_block_with_a_nearly_right_language_is_an_error_and_not_passed_over(info: str) -> None:
    record = Record.from_text(house(1) + f"\n```{info}\n[[path-exists]]\npath = 'a'\n```\n")
    (found,) = read_checks(record)
    assert isinstance(found, Malformed)
    assert "write ```adr-check" in found.message


def test_block_in_another_fence_or_in_prose_is_no_check() -> None:
    record = Record.from_text(
        house(1)
        + "\n````markdown\n```adr-check\n[[nonsense]]\n```\n````\n\nThe `adr-check` block.\n"
    )
    assert read_checks(record) == ()


def test_block_that_is_huge_or_nested_without_end_is_refused(check: Checked) -> None:
    assert "longer than" in check.one("#" * 200_001).message
    deep = check.one("a = " + "[" * 5000 + "]" * 5000)
    assert deep.verdict is Verdict.ERROR


def test_block_with_crlf_has_the_same_lines(tmp_path: Path) -> None:
    text = house(1) + "\n```adr-check\n[[path-exists]]\npath = 'a'\n\n[[bad]]\n```\n"
    plain = [item.line for item in read_checks(Record.from_text(text))]
    assert plain == [
        item.line for item in read_checks(Record.from_text(text.replace("\n", "\r\n")))
    ]


_KEY = st.sampled_from(["a", "b-c", "path"])
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=12)


def _toml(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    for control in map(chr, [*range(0x20), 0x7F]):
        escaped = escaped.replace(control, f"\\u{ord(control):04x}")
    return f'"{escaped}"'


@given(st.lists(st.tuples(_KEY, st.booleans(), _TEXT), max_size=6))
def test_lines_of_tables_are_found_whatever_their_strings_hold(
    tables: list[tuple[str, bool, str]],
) -> None:
    lines: list[str] = []
    expected: dict[str, list[int]] = {}
    for kind, multi, text in tables:
        lines += ["# [[x]] { } \"'", f"[[{kind}]]"]
        expected.setdefault(kind, []).append(len(lines))
        if multi and "'''" not in text and not text.endswith("'"):
            kept = "".join(c for c in text if c == "\n" or (c.isprintable()))
            lines += f"value = '''\n{kept}\n[[{kind}]]\n'''".split("\n")
        else:
            lines.append(f"value = {_toml(text)}")
    content = "\n".join(lines)
    tomllib.loads(content)  # the premise
    assert {k: [t.line for t in v] for k, v in table_lines(content).items()} == expected
