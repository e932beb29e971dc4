"""Row scopes: a condition of the operator's that every export of a type carries.

``scope = "tenant_id = :principal.tenant"`` is the operator's SQL with places for who asks. It is
read here once, with PostgreSQL's lexical rules, so that a place inside a string or a comment is
none, and so that the expression can stand in parentheses. The values come from the job's row,
which the service wrote from the authenticated principal: nothing in a request reaches them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from waybill.catalog.query import Token, scan
from waybill.errors import ConfigurationError

Parameter = Literal["tenant", "subject"]

PARAMETERS: Final[tuple[Parameter, ...]] = get_args(Parameter)
_PLACE_TOKENS: Final = 4  # : principal . tenant


@dataclass(frozen=True, slots=True)
class RowScope:
    """The rows of a source that a principal may export.

    Raises:
        ConfigurationError: it is no single expression, or names an unknown place.
    """

    sql: str
    pieces: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The text around the places: one more than there are ``parameters``."""
    parameters: tuple[Parameter, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pieces, parameters = _split(self.sql)
        object.__setattr__(self, "pieces", pieces)
        object.__setattr__(self, "parameters", parameters)

    @property
    def needs_tenant(self) -> bool:
        return "tenant" in self.parameters


def _split(text: str) -> tuple[tuple[str, ...], tuple[Parameter, ...]]:
    tokens = list(scan(text, "scope"))
    if not tokens:
        raise ConfigurationError("The scope is empty; write a condition, or leave it out.")
    _check_expression(tokens)
    pieces: list[str] = []
    parameters: list[Parameter] = []
    start = 0
    for index, token in enumerate(tokens):
        place = tokens[index : index + _PLACE_TOKENS]
        is_cast = token.start > 0 and text[token.start - 1] == ":"
        if token.text != ":" or is_cast or [t.text for t in place[1:2]] != ["principal"]:
            continue
        pieces.append(text[start : token.start])
        parameters.append(_parameter(place))
        start = place[-1].end
    return (*pieces, text[start:]), tuple(parameters)


def _check_expression(tokens: list[Token]) -> None:
    depth = 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if depth < 0 or token.text == ";":
            raise ConfigurationError(
                "The scope must be one condition: parentheses in pairs, and no ';'."
            )
        if token.text == "$":
            raise ConfigurationError(
                "The scope has a parameter like $1. Write :principal.tenant or :principal.subject."
            )
    if depth:
        raise ConfigurationError("The scope leaves a parenthesis open; close it.")


def _parameter(place: list[Token]) -> Parameter:
    name = "".join(token.text for token in place)
    for parameter in PARAMETERS:
        if name == f":principal.{parameter}":
            return parameter
    raise ConfigurationError(
        f"The scope names {name!r}, which is unknown; there are "
        + " and ".join(f":principal.{known}" for known in PARAMETERS)
        + "."
    )
