"""Every text of the pages, in each language, and which language a reader gets.

A text is a ``str.format`` template. What is put into it is escaped by the page, never here.

A text with a number beside a noun has a second form, whose key ends in ``.one``: ``history.rows``
is "2 rows", ``history.rows.one`` is "1 row". Which form a number takes is CLDR's rule of the
language; English and German have the same two, and a language with more needs more endings here
(``.few``, ``.many``) and in the element, which asks the browser's ``Intl.PluralRules``.
"""

from __future__ import annotations

from typing import Final

from waybill.jobs.explanations import explain
from waybill.web.texts_de import EXPLANATIONS_DE, TEXTS_DE
from waybill.web.texts_en import TEXTS_EN

LANGUAGES: Final[dict[str, dict[str, str]]] = {"en": TEXTS_EN, "de": TEXTS_DE}
_DEFAULT: Final = "en"


class Texts:
    """The texts of one language.

    Args:
        language: one of ``LANGUAGES``.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._texts = LANGUAGES[language]

    def __call__(self, key: str, *, count: int | None = None, **values: object) -> str:
        """Return a text, with ``values`` in it. ``count`` is the number that its noun agrees with.

        Raises:
            KeyError: there is no such text, which is a defect of the page.
        """
        text = self._texts[f"{key}.one" if count == 1 else key]
        return text.format(**values) if values else text

    def or_else(self, key: str, otherwise: str) -> str:
        """Return a text if there is one: of codes that may be newer than the catalogue."""
        return self._texts.get(key, otherwise)

    def refusal(self, code: str, detail: str, *families: str) -> tuple[str, str]:
        """Return what is wrong: a text of ``families`` that says all of it, or what it is about and
        the service's own words, in English."""
        for family in families:
            if f"{family}.{code}" in self._texts:
                return self._texts[f"{family}.{code}"], ""
        return self._texts.get(f"unfit.{code}", self._texts["unfit"]), detail

    def explain(self, code: str) -> str:
        """Return what happened and what to do, of an export that failed."""
        if self.language == "de":
            return EXPLANATIONS_DE.get(code, EXPLANATIONS_DE["internal_error"])
        return explain(code)


def language_of(accepted: str) -> str:
    """Return the language to answer in, by ``Accept-Language`` (RFC 9110, 12.5.4)."""
    best, best_weight = _DEFAULT, 0.0
    for part in accepted[:500].split(","):
        name, _, parameter = part.strip().partition(";")
        language = name.strip().lower().partition("-")[0]
        weight = _weight(parameter.strip())
        if language in LANGUAGES and weight > best_weight:
            best, best_weight = language, weight
    return best


def _weight(parameter: str) -> float:
    if not parameter:
        return 1.0
    try:
        weight = float(parameter.removeprefix("q="))
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
