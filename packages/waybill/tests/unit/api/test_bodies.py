"""What the bodies of requests hold can be stored, whichever route reads them."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from waybill.api.app import API_MODULES
from waybill.api.bodies import Body, is_storable
from waybill.web import portal_links

BODIES: dict[str, type[BaseModel]] = {
    route.name: kind
    for module in (*API_MODULES, portal_links)
    for route in module.router.routes
    if isinstance(route, APIRoute)
    for name, hint in get_type_hints(route.endpoint).items()
    if name != "return"
    for kind in (hint, *get_args(hint))
    if isinstance(kind, type) and issubclass(kind, BaseModel)
}


def test_every_route_that_reads_a_body_holds_it_to_what_can_be_stored() -> None:
    assert len(BODIES) == 5
    assert {name: kind for name, kind in BODIES.items() if not issubclass(kind, Body)} == {}


@pytest.mark.parametrize("bad", ["a\0", "\ud800", "é\udfff"])
@pytest.mark.parametrize("name", BODIES)
def test_text_that_cannot_be_stored_is_refused_wherever_it_stands(name: str, bad: str) -> None:
    bodies: list[Any] = [{"email": bad}, {"code": bad}, {"columns": [bad]}, {bad: 1}]
    for body in bodies:
        with pytest.raises(ValidationError, match="no NUL and no unpaired surrogate"):
            BODIES[name].model_validate({"subject": "ann", **body})


def test_what_can_be_stored_is_taken() -> None:
    assert [each for each in ("", "a", "é", "👋", "\uffff", "\x01") if not is_storable(each)] == []
