"""``config`` in streams of YAML documents and in ``.env`` files."""

from __future__ import annotations

import pytest

from adrkit.testing import GitProject

from .conftest import Checked

MANIFESTS = """---
# Only a comment
---
kind: Deployment
metadata: {name: web}
spec: {replicas: 3}
---
kind: Service
metadata: {name: web, namespace: shop}
spec: {port: 80}
---
kind: ConfigMap
metadata: {name: settings, namespace: a}
data: {MODE: slow}
---
kind: ConfigMap
metadata: {name: settings, namespace: b}
data: {MODE: fast}
---
kind: List
items:
  - kind: Job
    metadata: {name: nightly}
    spec: {parallelism: 2}
"""


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("pointer = '/spec/replicas'; value = 3", "error"),
        ("pointer = '/spec/gone'; operator = 'absent'", "error"),
        ("document = 'Deployment/web'; pointer = '/spec/replicas'; value = 3", "pass"),
        ("document = 'Deployment/default/web'; pointer = '/spec/replicas'; value = 3", "pass"),
        ("document = 'Deployment/web'; pointer = '/spec/replicas'; value = 2", "violated"),
        ("document = 'deployment/web'; pointer = '/spec/replicas'; value = 3", "missing"),
        ("document = 'Deployment/api'; pointer = '/x'; operator = 'absent'", "missing"),
        ("document = 'Service/shop/web'; pointer = '/spec/port'; value = 80", "pass"),
        ("document = 'ConfigMap/settings'; pointer = '/data/MODE'; value = 'slow'", "error"),
        ("document = 'ConfigMap/b/settings'; pointer = '/data/MODE'; value = 'fast'", "pass"),
        ("document = 'Job/nightly'; pointer = '/spec/parallelism'; value = 2", "pass"),
        ("document = 0; pointer = '/spec/replicas'; value = 3", "pass"),
        ("document = 1; pointer = '/kind'; value = 'Service'", "pass"),
        ("document = 9; pointer = '/kind'; operator = 'absent'", "missing"),
        ("document = -1; pointer = '/kind'; operator = 'exists'", "error"),
        ("document = true; pointer = '/kind'; operator = 'exists'", "error"),
    ],
)
def test_documents_of_a_stream(
    check: Checked, project: GitProject, keys: str, verdict: str
) -> None:
    project.write("k8s.yaml", MANIFESTS)
    lines = "\n".join(part.strip() for part in keys.split(";"))
    assert check.verdict(f"[[config]]\nfile = 'k8s.yaml'\n{lines}") == verdict


@pytest.mark.parametrize(
    ("keys", "verdict", "said"),
    [
        ("pointer = '/limit'\nvalue = 3", "pass", "a.yaml /limit is 3"),
        ("pointer = '/limit'\nvalue = 4", "violated", "a.yaml /limit is 3, must be == 4"),
        ("pointer = '/limit'\noperator = 'exists'", "pass", "a.yaml /limit is there (3)"),
        ("pointer = '/limit'\noperator = 'absent'", "violated", "a.yaml /limit is there (3)"),
        ("pointer = '/gone'\noperator = 'absent'", "pass", "a.yaml /gone is not there"),
        ("pointer = '/gone'\noperator = 'exists'", "violated", "a.yaml /gone is not there"),
    ],
)
def test_message_says_what_was_found_and_what_was_wanted(
    check: Checked, project: GitProject, keys: str, verdict: str, said: str
) -> None:
    project.write("a.yaml", "limit: 3\n")
    result = check.one(f"[[config]]\nfile = 'a.yaml'\n{keys}")
    assert (result.verdict.value, result.message) == (verdict, said)


def test_one_document_needs_no_name(check: Checked, project: GitProject) -> None:
    project.write("a.yaml", "---\nlimit: 3\n---\n")
    assert check.verdict("[[config]]\nfile = 'a.yaml'\npointer = '/limit'\nvalue = 3") == "pass"


@pytest.mark.parametrize(
    "text",
    [
        "kind: A\nmetadata: {name: x}\nlimit: 3\nlimit: 4\n",
        "kind: A\nmetadata: {name: x}\nlimit: 3\n---\nkind: B\nkind: C\n",
        "kind: A\nmetadata: {name: x}\nlimit: 3\n---\nkind: A\nmetadata: {name: x}\nlimit: 4\n",
        "kind: A\nmetadata: {name: x}\nlimit: 3\n---\n{{ if .Values.x }}\n",
    ],
)
def test_stream_that_is_not_certain_is_an_error(
    check: Checked, project: GitProject, text: str
) -> None:
    project.write("a.yaml", text)
    block = "[[config]]\nfile = 'a.yaml'\ndocument = 'A/x'\npointer = '/limit'\nvalue = 3"
    assert check.verdict(block) == "error"


def test_only_yaml_has_documents(check: Checked, project: GitProject) -> None:
    project.write("a.json", "{}")
    block = "[[config]]\nfile = 'a.json'\ndocument = 0\npointer = '/a'\noperator = 'absent'"
    assert check.verdict(block) == "error"


ENV = """# settings
export MODE=fast
LIMIT=3   # a comment
EMPTY=
SINGLE='a $b # c'
DOUBLE="two
lines"
WORDS=two words
EQUALS=a=b
URL=redis://host:6379/0
FILLED=${HOME}/x
INSIDE="$MODE"
ESCAPED="a\\nb"
HASH=a#b
SPACED = 3
BLANK= 3
QUOTE=it's
TAIL='a'b
GLUED='a'#b
BACK=`date`
PASSED
"""


@pytest.mark.parametrize(
    ("key", "rest", "verdict"),
    [
        ("MODE", "value = 'fast'", "pass"), ("MODE", "value = 'slow'", "violated"),
        ("LIMIT", "value = '3'", "pass"), ("LIMIT", "operator = '<='\nvalue = 3", "pass"),
        ("LIMIT", "operator = '>'\nvalue = 3", "violated"), ("EMPTY", "value = ''", "pass"),
        ("SINGLE", "value = 'a $b # c'", "pass"), ("DOUBLE", 'value = "two\\nlines"', "pass"),
        ("WORDS", "value = 'two words'", "pass"), ("EQUALS", "value = 'a=b'", "pass"),
        ("URL", "operator = 'matches'\nvalue = '^redis:'", "pass"),
        ("GONE", "operator = 'absent'", "pass"), ("GONE", "value = 'x'", "missing"),
        *[(key, "operator = '!='\nvalue = 'x'", "error")
          for key in ("FILLED", "INSIDE", "ESCAPED", "HASH", "SPACED", "BLANK", "QUOTE", "TAIL",
                      "GLUED", "BACK", "PASSED")],
        ("PASSED", "operator = 'exists'", "error"),
    ],
)  # fmt: skip
def test_env_file(check: Checked, project: GitProject, key: str, rest: str, verdict: str) -> None:
    for name in (".env", ".env.production", "deploy/web.env"):
        project.write(name, ENV)
        block = f"[[config]]\nfile = '{name}'\npointer = '/{key}'\n{rest}"
        assert check.verdict(block) == verdict, name


@pytest.mark.parametrize(
    "text", ["A=1\nA=2\n", "A=1\nexport A=1\n", "A=1\n- B\n", "A=1\nB='open\n", "A=1\n2=3\n"]
)
def test_env_file_that_is_not_certain_is_an_error(
    check: Checked, project: GitProject, text: str
) -> None:
    project.write(".env", text)
    assert check.verdict("[[config]]\nfile = '.env'\npointer = '/A'\nvalue = '1'") == "error"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("file", [".env", "a.yaml", "a.ini"])
def test_settings_in_utf16_are_an_error(
    check: Checked, project: GitProject, encoding: str, file: str
) -> None:
    project.write(file, "")
    (project.root / file).write_bytes("[a]\nA=1\n".encode(encoding))
    block = f"[[config]]\nfile = '{file}'\npointer = '/B'\noperator = 'absent'"
    assert check.verdict(block) == "error"
