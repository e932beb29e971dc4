"""Record templates: house, MADR, Nygard and a project's own (Jinja2, sandboxed).

Variables: ``number`` (int, None for a draft), ``number_text`` ("0007", or "draft-slug-KEY"),
``plain_number`` ("7", or the same), ``title``, ``date`` ("YYYY-MM-DD"), ``status``,
``context_link``, ``slug``, and ``supersedes``, a list of Markdown links; for MADR also
``front_matter``, whether its records have some. What the author has to fill in stands in
``[brackets]``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from adrkit.bounded import read_bounded
from adrkit.errors import TemplateError
from adrkit.templates import bounded_render

HOUSE = "house"
#: Formats that `adr new` can write; each is a template of this package.
FORMATS = (HOUSE, "madr", "nygard")
CONTEXT_PLACEHOLDER = "[Link to ticket, epic, or TDD]"

_MOST_SECONDS = 5
_PATIENCE = 6
"""So many times the CPU seconds may pass: the machine may be busy."""
_MOST_BYTES = 512 * 1024 * 1024
_MOST_TEXT = 1_000_000

_PLACEHOLDER = re.compile(r"\[[^\[\]\n]+\](?![(\[])")
# In the specification's text but not in the house template, which adds those lines when needed.
_SPECIFICATION_ONLY = (
    "[Link to ADR this replaces, if applicable]",
    "[Link to ADR that replaces this, if deprecated]",
)


@dataclass(frozen=True, slots=True)
class TemplateValues:
    """What a template may use; the defaults are the specification's placeholders."""

    number: int | None = None
    title: str = "[Short Title in Title Case]"
    date: str = "[YYYY-MM-DD]"
    status: str = "Proposed | Accepted | Rejected | Deprecated | Superseded by ADR-XXXX"
    context_link: str = CONTEXT_PLACEHOLDER
    slug: str = "short-kebab-case-title"
    supersedes: Sequence[str] = ()
    draft: str | None = None  # "draft-slug-KEY" of a record that has no number yet
    front_matter: bool = True


def template_source(path: Path | None, format: str = HOUSE) -> str:
    """Text of a project's template, or that of a format for None. Raises TemplateError."""
    if path is None:
        return files(__package__).joinpath(f"{format}.md.j2").read_text(encoding="utf-8")
    try:
        return read_bounded(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TemplateError(str(path), f"not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise TemplateError(str(path), f"cannot be read: {error.strerror}") from error


def render(path: Path | None, values: TemplateValues, format: str = HOUSE) -> str:
    """A record's first text. Raises TemplateError for a broken template or unknown variable."""
    source = template_source(path, format)
    if path is None:
        return _text(format, bounded_render.rendered(_asked(source, values)))
    return _text(str(path), _apart(str(path), _asked(source, values)))


def render_first_record(values: TemplateValues) -> str:
    """The record with which `adr init` begins: to record decisions."""
    source = files(__package__).joinpath("first-record.md.j2").read_text(encoding="utf-8")
    return _text("first-record", bounded_render.rendered(_asked(source, values)))


def _asked(source: str, values: TemplateValues) -> dict[str, Any]:
    return {
        "source": source,
        "newline": "\r\n" if "\r\n" in source else "\n",
        "seconds": _MOST_SECONDS,
        "bytes": _MOST_BYTES,
        "path": sorted({str(Path(str(each.__file__)).parents[1]) for each in (jinja2, markupsafe)}),
        "values": {
            "number": values.number,
            "number_text": _number_text(values, 4),
            "plain_number": _number_text(values, 1),
            "title": values.title,
            "date": values.date,
            "status": values.status,
            "context_link": values.context_link,
            "slug": values.slug,
            "supersedes": list(values.supersedes),
            "front_matter": values.front_matter,
            "placeholder": CONTEXT_PLACEHOLDER,
        },
    }


def _text(name: str, answer: Mapping[str, Any]) -> str:
    if "text" not in answer:
        raise TemplateError(name, answer["error"], line=answer["line"])
    text = str(answer["text"])
    if len(text) > _MOST_TEXT:
        raise TemplateError(name, "it makes a record of more than a million characters")
    if re.search("[\ud800-\udfff]", text):
        raise TemplateError(name, "it makes a record with half a character, which no file can hold")
    return text


def _apart(name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Render a checkout's template in a process that can be ended: see ``bounded_render``."""
    # Without the environment's paths, the working directory and `site`: nothing of a checkout.
    command = [sys.executable, "-I", "-S", "-X", "utf8", str(Path(bounded_render.__file__))]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command,
            input=json.dumps(asked).encode(),
            capture_output=True,
            timeout=_MOST_SECONDS * _PATIENCE,
            check=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise TemplateError(name, "it takes too long, or too much memory") from error
    except OSError as error:
        raise TemplateError(name, f"Python cannot be started: {error.strerror}") from error
    return answer


def _number_text(values: TemplateValues, width: int) -> str:
    if values.number is None:
        return values.draft or "[NNNN]"
    return f"{values.number:0{width}d}"


@cache
def house_placeholders() -> frozenset[str]:
    """All ``[bracketed]`` placeholders of the specification: left over in a record, a fault."""
    found = _PLACEHOLDER.findall(render(None, TemplateValues()))
    return frozenset((*found, *_SPECIFICATION_ONLY))
