"""Record templates: house, MADR, Nygard and a project's own (Jinja2, sandboxed).

Variables: ``number`` (int, None for a draft), ``number_text`` ("0007", or "draft-slug-KEY"),
``plain_number`` ("7", or the same), ``title``, ``date`` ("YYYY-MM-DD"), ``status``,
``context_link``, ``slug``, and ``supersedes``, a list of Markdown links; for MADR also
``front_matter``, whether its records have some. What the author has to fill in stands in
``[brackets]``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import StrictUndefined
from jinja2 import TemplateError as JinjaError
from jinja2.exceptions import TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment

from adrkit.bounded import read_bounded
from adrkit.errors import TemplateError

HOUSE = "house"
#: Formats that `adr new` can write; each is a template of this package.
FORMATS = (HOUSE, "madr", "nygard")
CONTEXT_PLACEHOLDER = "[Link to ticket, epic, or TDD]"

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
    return _render(str(path) if path else format, template_source(path, format), values)


def render_first_record(values: TemplateValues) -> str:
    """The record with which `adr init` begins: to record decisions."""
    source = files(__package__).joinpath("first-record.md.j2").read_text(encoding="utf-8")
    return _render("first-record", source, values)


def _render(name: str, source: str, values: TemplateValues) -> str:
    newline = "\r\n" if "\r\n" in source else "\n"
    # Records are Markdown, not HTML: escaping would corrupt them.
    environment = SandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        newline_sequence=newline,
    )
    try:
        return environment.from_string(source).render(
            number=values.number,
            number_text=_number_text(values, 4),
            plain_number=_number_text(values, 1),
            title=values.title,
            date=values.date,
            status=values.status,
            context_link=values.context_link,
            slug=values.slug,
            supersedes=list(values.supersedes),
            front_matter=values.front_matter,
            placeholder=CONTEXT_PLACEHOLDER,
        )
    except TemplateSyntaxError as error:
        raise TemplateError(name, error.message or "syntax error", line=error.lineno) from error
    except (JinjaError, TypeError, ValueError, ArithmeticError) as error:
        raise TemplateError(name, str(error)) from error


def _number_text(values: TemplateValues, width: int) -> str:
    if values.number is None:
        return values.draft or "[NNNN]"
    return f"{values.number:0{width}d}"


@cache
def house_placeholders() -> frozenset[str]:
    """All ``[bracketed]`` placeholders of the specification: left over in a record, a fault."""
    found = _PLACEHOLDER.findall(render(None, TemplateValues()))
    return frozenset((*found, *_SPECIFICATION_ONLY))
