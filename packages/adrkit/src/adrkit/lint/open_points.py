"""Text that says only that somebody still has to write it."""

from __future__ import annotations

import re

from adrkit.document import plain

_OPEN = re.compile(
    r"(?:tb[dac]|todo|fixme|xxx+|wip"
    r"|to be (?:decided|determined|defined|done|added|written|completed)"
    r"|work in progress|n/?a|none|\?+|\.{2,}|…|[-–—]+|\[?\s*\]?)(?: (?:yet|later|soon))?",
    re.IGNORECASE,
)


def is_open(markdown: str) -> bool:
    """Whether ``markdown`` is empty, or "TBD", "TODO: later", "to be decided", "???", "...".

    What says more than that is not: "TBD by the ops team" tells who decides.
    """
    text = plain(markdown).strip(" *_-–—.:!\"'()[]")
    return not text or _OPEN.fullmatch(text) is not None
