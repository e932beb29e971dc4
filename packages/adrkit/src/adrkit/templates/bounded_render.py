"""Renders one Jinja2 template in a process that may take so much time and memory, and no more.

A program of its own, as a checkout's template is a checkout's program: the sandbox keeps it from
everything but loops without end and texts without bound, of which Jinja2 knows too many kinds to
forbid one by one. Standard input is JSON with ``source``, ``values``, ``newline``, ``seconds``,
``bytes`` and ``path`` (where Jinja2 lies); standard output JSON with ``text``, or with ``error``
and ``line``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any


def main() -> None:
    """Render what standard input asks for."""
    asked = json.load(sys.stdin)
    sys.path.extend(asked["path"])
    _bound(asked["seconds"], asked["bytes"])
    try:
        answer = rendered(asked)
    except (MemoryError, RecursionError):
        answer = {"error": "it takes too much memory", "line": None}
    json.dump(answer, sys.stdout)


def _bound(seconds: int, most_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: whoever waits for us ends us
        return
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    if sys.platform == "linux":  # macOS refuses one on addresses
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))


def rendered(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is answered; in this process, and so without bounds."""
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.exceptions import TemplateSyntaxError
    from jinja2.sandbox import SandboxedEnvironment

    # Records are Markdown, not HTML: escaping would corrupt them.
    environment = SandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        newline_sequence=asked["newline"],
    )
    try:
        return {"text": environment.from_string(asked["source"]).render(asked["values"])}
    except TemplateSyntaxError as error:
        return {"error": error.message or "syntax error", "line": error.lineno}
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        return {"error": str(error), "line": None}
    except (MemoryError, RecursionError):
        raise  # `main` says what these mean
    except Exception as error:  # a template may do what Python can, and raise it
        return {"error": f"{type(error).__name__}: {error}", "line": None}


if __name__ == "__main__":
    main()
