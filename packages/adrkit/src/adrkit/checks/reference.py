"""The page on checks, written from the kinds themselves.

python -m adrkit.checks.reference > docs/adrkit/checks.md
"""

# ruff: noqa: E501 - rows of Markdown tables cannot be wrapped

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping

from adrkit.checks.kinds import KINDS
from adrkit.checks.operators import OPERATORS

#: One example per kind; the tests read each of them as a check.
EXAMPLES: Mapping[str, str] = {
    "path-exists": 'path = "src/orders/queue.py"',
    "symbol-exists": 'file = "src/orders/queue.py"\nsymbol = ["OrderQueue", "OrderQueue.publish"]',
    "import-forbidden": (
        'name = "the domain does no I/O"\nfiles = ["src/orders/domain/**"]\n'
        'modules = ["boto3", "sqlalchemy"]\n\n[[import-forbidden]]\nfiles = ["web/src/ui/**"]\n'
        'languages = ["javascript"]\nmodules = ["axios", "./web/src/db"]'
    ),
    "dependency": (
        'package = "celery"\nversion = ">=5.4,<6"\n\n[[dependency]]\npackage = "react"\n'
        'version = "^18.2"\nscope = "project"\nfiles = ["web/package.json"]'
    ),
    "config": (
        'file = "deploy/shop.yaml"\ndocument = "Deployment/web"\npointer = "/spec/replicas"\n'
        'operator = ">="\nvalue = 2'
    ),
    "setting": (
        'file = "src/orders/config.py"\nattribute = "Settings.max_attempts"\n'
        'operator = "=="\nvalue = 3'
    ),
    "regex": (
        'files = ["src/**/*.py"]\npattern = \'\\bpickle\\.loads?\\(\'\nexpect = "no-match"\n'
        'reason = "a pickle in a queue is code execution"'
    ),
    "test": 'node = "tests/test_queue.py::test_message_holds_the_id_alone"',
    "benchmark": (
        'name = "100,000 users within 60 s"\nfile = "benchmarks/latest.json"\n'
        'pointer = "/export/median"\noperator = "<="\nvalue = 60\nunit = "s"\n'
        'max-age-days = 180\ntimestamp = "/measured_at"'
    ),
    "command": 'run = ["terraform", "validate"]\ntimeout-seconds = 120',
}

_INTRODUCTION = """# Checks of `adr check`

<!-- Written by `python -m adrkit.checks.reference`; edits are lost. -->

A fenced block of the language `adr-check` in a record says in TOML what must stay true. Its natural place is a section
`## Confirmation`. Claims are read from such blocks only, never guessed from prose.

````markdown
## Confirmation

```adr-check
[[setting]]
name = "three attempts"
file = "src/orders/config.py"
attribute = "RETRY_ATTEMPTS"
operator = "=="
value = 3
```
````

Each table is one check, its kind the table's name. Beside the keys of their kind all take

| Key | Meaning |
| --- | --- |
| `name` | what reports call it |
| `reason` | shown when it fails |
| `when = "revisit"` | a trigger: when it holds, the decision is due for another look |
| `alternative` | the option of the alternatives table that it is about: "rejected because 3 × slower" |

## Verdicts

| Verdict | Meaning |
| --- | --- |
| pass | it holds |
| violated | the project does something else |
| missing | what it speaks of is not there |
| stale | a benchmark older than `max-age-days` |
| error | it cannot be carried out as it is written: a wrong key, a path that leaves the project, a pattern that does not end |

What that means depends on the record. **Accepted** binds: anything but pass fails. **Proposed** advises. Of **Superseded**,
**Deprecated** and **Rejected** records a check that still passes is reported: the code follows what is over. `ADR-NNNN` cited in
code must exist and be in force. Exit codes: 0 all well, 1 findings, 2 checks that cannot be carried out.

Nothing of the project is imported or run, except by `command` with `--allow-commands`. Paths are relative to the project;
absolute ones, `..` and symbolic links that lead out are refused. Each search of a pattern has a time
limit (`pattern-timeout-seconds`, of processor time).

## Paths that moved

A decided record keeps its words while the code moves on. A path that is not there any more is followed through git's renames
(`git log -M`) since the commit that brought it into the record: over several moves, on merged branches, and when the move is
only staged. The check is carried out at the new place; `adr check --verbose`, JSON and `adr why` name it:
`exports/job.py → jobs/job.py (renamed in abc1234)`.

- A folder is followed when most of its files went to one other folder; else the report says where they went. Globs, and folders
  in `files`, are followed file by file. A ban of a Python module holds for its new name, too.
- What was deleted is missing, a copy is no rename, and text that is not committed names paths as they are.
- Git follows files. A name that went from one file to another (a file was split) is corrected in the block, which `adr audit`
  allows for places, with an `> **Amended YYYY-MM-DD:** …` line that says so.
- A shallow clone or a folder without git does not have the history: the path is missing, and the report says how to get it.
  Of a partial clone only files that moved unchanged are followed.

## What binds

In an accepted record a check is part of the promise: `adr audit` reports when its value changes. Where the code is
(`file`, `files`, `path` and alike) may be corrected freely.
"""


def checks_reference() -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION, "## Operators\n\n" + _operators()]
    for name, kind in KINDS.items():
        module = sys.modules[kind.__module__]
        summary = _sentence(module.__doc__ or "")
        keys = inspect.cleandoc(kind.__doc__ or "").replace("``", "`")
        # After two backticks became one, lines are wrapped anew by whoever reads them.
        keys = "\n\n".join(" ".join(part.split()) for part in keys.split("\n\n"))
        example = f"```toml\n[[{name}]]\n{EXAMPLES[name]}\n```"
        parts.append(f"## {name}\n\n{summary}\n\n{keys}\n\n{example}\n")
    return "\n".join(parts)


def _sentence(text: str) -> str:
    """The first line of a module's docstring without the kind's name."""
    said = re.sub(r"^``[\w-]+``: ", "", text.strip().split("\n")[0])
    return said[0].upper() + said[1:]


def _operators() -> str:
    names = ", ".join(f"`{name}`" for name in OPERATORS)
    return (
        f'For `config` and `setting`: {names}. Types are kept apart: `true` is not 1 and "3" is not 3; '
        "3 equals 3.0, and lists and tuples compare item by item.\n"
    )


if __name__ == "__main__":
    sys.stdout.write(checks_reference())
