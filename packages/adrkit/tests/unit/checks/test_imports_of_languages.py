"""``import-forbidden`` in JavaScript, TypeScript and Go."""

from __future__ import annotations

import sys

import pytest

from adrkit.testing import GitProject

from .conftest import Checked


def _verdict(check: Checked, file: str, modules: str, extra: str = "") -> str:
    return check.verdict(f"[[import-forbidden]]\nfiles = ['{file}']\nmodules = {modules}\n{extra}")


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("import _ from 'lodash'", "violated"), ("import { a } from 'lodash/fp'", "violated"),
        ("import 'lodash'", "violated"), ("export * from 'lodash'", "violated"),
        ("export { a } from 'lodash'", "violated"), ("const a = require('lodash')", "violated"),
        ("function f() { return import('lodash') }", "violated"),
        ("import('lod' + 'ash')", "violated"), ("import(`lodash`)", "violated"),
        ("require('\\x6codash')", "violated"), ("require('lo\\u{64}ash')", "violated"),
        ("import(x ? 'lodash' : 'ramda')", "violated"), ("require.resolve('lodash')", "violated"),
        ("module.require('lodash')", "violated"), ("(require)('lodash')", "violated"),
        ("import x from 'raw-loader!lodash?inline'", "violated"),
        ("import x from 'npm:lodash@4/fp'", "violated"), ("define(['lodash'], f)", "violated"),
        ("import x from 'lodash' with { type: 'json' }", "violated"),
        ("import x from 'https://esm.sh/lodash@4'", "error"), ("import(name)", "error"),
        ("import(`lod${x}`)", "error"), ("import(`lodash/${x}`)", "error"),
        ("require('lo' + x)", "error"), ("require(...x)", "error"), ("f(require)", "error"),
        ("const load = require; load('lodash')", "error"), ("x = { require }", "error"),
        ("require.call(null, 'lodash')", "error"), ("(0, require)('lodash')", "error"),
        ("const load = createRequire(import.meta.url)", "error"),
        ("const load = M.createRequire(import.meta.url); load('lodash')", "error"),
        ("const load = module.require", "error"), ("eval(text)", "error"),
        ("new Function('x', text)", "error"), ("import x from '#utils'", "error"),
        ("import x from", "error"), ("import(name)\nimport _ from 'lodash'", "violated"),
        ("import a from 'lodash-es'", "pass"), ("import a from './lodash'", "pass"),
        ("import a from '@x/lodash'", "pass"), ("import(`./pages/${x}`)", "pass"),
        ("import('ramda' + x)", "pass"), ("// import 'lodash'\nx = \"import 'lodash'\"", "pass"),
        ("const x = `require('lodash')`", "pass"), ("if (require.main === module) f()", "pass"),
        ("typeof require === 'function'", "pass"), ("x = { require: 1 }; y.require = 2", "error"),
        ("const require = createRequire(import.meta.url); require('ramda')", "pass"),
        ("import { createRequire } from 'module'", "pass"), ("import type from 'ramda'", "pass"),
        ("const a = <div>require('lodash')</div>", "pass"), ("", "pass"),
    ],
)  # fmt: skip
def test_javascript(check: Checked, project: GitProject, code: str, verdict: str) -> None:
    project.write("web/a.jsx", code)
    assert _verdict(check, "web/**", "['lodash']") == verdict


@pytest.mark.parametrize(
    ("code", "flag", "verdict"),
    [
        ("import type { A } from 'lodash'", "", "pass"),
        ("import type { A } from 'lodash'", "type-checking = true", "violated"),
        ("export type { A } from 'lodash'", "", "pass"),
        ("import { type A } from 'lodash'", "", "violated"),
        ("import type from 'lodash'", "", "violated"),
        ("import a = require('lodash')", "", "violated"),
        ("let a: typeof import('lodash')", "", "pass"),
        ("let a: import('lodash').A", "", "pass"),
        ("let a: import('lodash').A", "type-checking = true", "violated"),
        ("const a = (await import('lodash')) as Foo", "", "violated"),
        ("const a = import(name as string)", "", "error"),
    ],
)
@pytest.mark.parametrize("ending", ["ts", "mts", "tsx"])
def test_typescript(
    check: Checked, project: GitProject, ending: str, code: str, flag: str, verdict: str
) -> None:
    project.write(f"web/a.{ending}", code)
    assert _verdict(check, "web/**", "['lodash']", flag) == verdict


def test_declaration_files_do_not_run(check: Checked, project: GitProject) -> None:
    project.write("web/a.d.ts", "import { A } from 'lodash'\nexport const a: A")
    assert _verdict(check, "web/**", "['lodash']") == "pass"


@pytest.mark.parametrize(
    ("modules", "code", "verdict"),
    [
        ("['fs']", "import 'node:fs'", "violated"), ("['node:fs']", "import 'fs'", "violated"),
        ("['node:fs']", "import 'fs/promises'", "violated"),
        ("['fs']", "import 'fsevents'", "pass"),
        ("['@aws-sdk/client-s3']", "import '@aws-sdk/client-s3'", "violated"),
        ("['./web/db']", "import '../db/client'", "violated"),
        ("['./web/db']", "import '../db'", "violated"),
        ("['./web/db/client.ts']", "import '../db/client.js'", "violated"),
        ("['./web/db']", "import '../db/index.js'", "violated"),
        ("['./web/db']", "import '../dbx'", "pass"), ("['./web/db']", "import './db'", "pass"),
        ("['./web/db']", "import(`../db/${x}`)", "error"),
        ("['./web/db']", "import(`../${x}`)", "error"),
        ("['./web/db']", "import(`./pages/${x}`)", "error"),
        ("['./web/db']", "import(name)", "error"), ("['./web/db']", "import '@/db'", "error"),
        ("['./web/db', '@/db']", "import '@/db/x'", "violated"),
        ("['./web/db', '@/db']", "import '@/ui/x'", "pass"),
    ],
)  # fmt: skip
def test_modules_of_javascript(
    check: Checked, project: GitProject, modules: str, code: str, verdict: str
) -> None:
    project.write("web/ui/a.ts", code)
    assert _verdict(check, "web/**", modules) == verdict


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ('import "database/sql"', "violated"), ('import "database/sql/driver"', "violated"),
        ('import (\n\t"fmt"\n\t_ `database/sql`\n)', "violated"),
        ('import db "database/sql"', "violated"), ('import . "database/sql"', "violated"),
        ('import "database\\x2fsql"', "violated"), ('import "database/sqlx"', "pass"),
        ('// import "database/sql"\nvar a = "database/sql"', "pass"),
        ('import "database/sql', "error"),
    ],
)  # fmt: skip
def test_go(check: Checked, project: GitProject, code: str, verdict: str) -> None:
    project.write("a/a.go", f"//go:build linux\n\npackage a\n\n{code}\n")
    assert _verdict(check, "a/**", "['database/sql']") == verdict


def test_violation_names_its_place(check: Checked, project: GitProject) -> None:
    project.write("web/a.js", "\n\nimport 'lodash'\n")
    result = check.one("[[import-forbidden]]\nfiles = ['web/**']\nmodules = ['lodash']")
    assert str(result.evidence) == "web/a.js:3"


@pytest.mark.parametrize("ending", ["js", "ts", "go"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_source_that_is_not_utf8_is_an_error(
    check: Checked, project: GitProject, ending: str, encoding: str
) -> None:
    project.write(f"a.{ending}", "")
    (project.root / f"a.{ending}").write_bytes("package a // é\n".encode(encoding))
    assert _verdict(check, f"a.{ending}", "['lodash']") == "error"


@pytest.mark.parametrize("missing", ["tree_sitter", "tree_sitter_javascript"])
def test_without_the_extra_is_an_error_that_says_how_to_get_it(
    check: Checked, project: GitProject, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    project.write("src/a.js", "import 'react'")
    monkeypatch.setitem(sys.modules, missing, None)
    block = "[[import-forbidden]]\nfiles = ['src/**']\nmodules = ['lodash']"
    result = check.one(block)
    assert result.verdict.value == "error"
    assert "pip install 'adrkeep[languages]'" in result.message
    project.write("src/a.py", "import os")
    assert check.verdict(block) == "pass"  # neither file writes the name
    project.write("src/a.js", "import 'lodash'")
    assert check.verdict(block) == "error"
    assert check.verdict(f"{block}\nlanguages = ['python']") == "pass"


def test_every_language_of_the_files_is_looked_at(check: Checked, project: GitProject) -> None:
    project.write("src/a.py", "import os")
    project.write("src/a.ts", "import 'lodash'")
    assert _verdict(check, "src/**", "['lodash']") == "violated"
    assert _verdict(check, "src/**", "['lodash']", "languages = ['python']") == "pass"
    assert _verdict(check, "src/**", "['lodash']", "languages = ['go']") == "missing"
    assert _verdict(check, "src/**", "['@x/y']", "languages = ['python']") == "error"


@pytest.mark.parametrize("name", ["A.vue", "A.svelte", "A.astro"])
def test_scripts_within_other_files_are_an_error(
    check: Checked, project: GitProject, name: str
) -> None:
    project.write(f"src/{name}", "<script>import 'lodash'</script>")
    project.write("src/a.js", "")
    assert _verdict(check, "src/**", "['lodash']") == "error"
    assert _verdict(check, "src/**", "['lodash']", f"except = ['src/{name}']") == "pass"


def test_deep_nesting_ends(check: Checked, project: GitProject) -> None:
    project.write("a.js", "(" * 3000 + "1" + ")" * 3000 + "\nimport('lodash')")
    assert _verdict(check, "a.js", "['lodash']") == "violated"
