"""Tags of objects, by which a bucket's own rules (lifecycle, costs, rights) tell them apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from waybill.errors import ConfigurationError

LABELS: Final = ("tenant", "export_type")
"""What a tag's value may say of the export, in braces."""

_MOST_TAGS: Final = 10
_MOST_CHARACTERS: Final = {"name": 128, "value": 256}
_FOREIGN: Final = re.compile(r"[^\w +\-=.:/@]")
_LABEL: Final = re.compile(r"\{(\w*)\}")


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags that S3 would refuse with each object.

    Raises:
        ConfigurationError: names the tag.
    """
    if len(tags) > _MOST_TAGS:
        raise ConfigurationError(f"WAYBILL_S3_TAGS: an object has {_MOST_TAGS} tags at most.")
    for name, value in tags.items():
        unknown = [label for label in _LABEL.findall(value) if label not in LABELS]
        if unknown:
            raise ConfigurationError(
                f"WAYBILL_S3_TAGS: {{{unknown[0]}}} is not known. Values may say "
                f"{' and '.join(f'{{{label}}}' for label in LABELS)}."
            )
        for kind, text in (("name", name), ("value", _LABEL.sub("", value))):
            if _FOREIGN.search(text) or len(text) > _MOST_CHARACTERS[kind]:
                raise ConfigurationError(
                    f"WAYBILL_S3_TAGS: the {kind} of {name!r} is none that S3 takes: letters, "
                    f"digits, blanks and + - = . _ : / @, {_MOST_CHARACTERS[kind]} of them."
                )


def tagging(tags: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """Return the tags as S3's header has them; empty without.

    What S3 does not take in a tag is written as ``_``: a tenant's name must not end an export.
    """
    said = {
        name: _FOREIGN.sub("_", _LABEL.sub(lambda found: labels.get(found[1], ""), value))
        for name, value in tags.items()
    }
    return urlencode({name: value[: _MOST_CHARACTERS["value"]] for name, value in said.items()})
