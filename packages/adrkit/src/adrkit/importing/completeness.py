"""The proof that an import lost nothing: every word of the source stands in the result."""

from __future__ import annotations

import re
from collections import Counter

_WORD = re.compile(r"\w+")


def lost_words(before: str, after: str) -> Counter[str]:
    """Words that ``after`` has less often than ``before``; empty when nothing was lost.

    A word is a run of letters, digits and ``_``: markup may change, text may not.
    """
    return Counter(_WORD.findall(before)) - Counter(_WORD.findall(after))
