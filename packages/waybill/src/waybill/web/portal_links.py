"""``POST /api/portal-links``: a host's back end signs one of its people in to the pages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator

from waybill.api.auth import CurrentPrincipal
from waybill.api.bodies import Body
from waybill.api.instants import Moment
from waybill.api.json_body import require_unambiguous_json
from waybill.api.rate_limit import limited
from waybill.api.responses import AppServices, api_base, problem_responses
from waybill.audit.audit import AuditAction
from waybill.errors import InvalidOption
from waybill.principal import (
    IDENTIFIER,
    MAX_IDENTIFIER_CHARACTERS,
    READ,
    REQUEST,
    Principal,
    is_identifier,
)
from waybill.web.origin import HOME, is_target

router = APIRouter(prefix="/api", tags=["pages"])

_Name = Annotated[str, Field(min_length=1, max_length=MAX_IDENTIFIER_CHARACTERS)]


class PortalLinkBody(Body):
    """Whom the link is for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"subject": "ann", "tenant": "acme", "next": "/new/users"}],
        },
    )

    subject: _Name = Field(description="As in the person's tokens.")
    tenant: _Name | None = Field(default=None, description="Yours when left out.")
    scopes: list[_Name] = Field(
        default=[REQUEST, READ],
        max_length=100,
        description="What the person may do there; never more than you may.",
    )
    roles: list[_Name] = Field(default=[], max_length=100, description="They raise quotas.")
    email: Annotated[str, Field(max_length=320)] | None = Field(
        default=None, description="Where to write about the person's exports."
    )
    signed_in_at: Moment | None = Field(
        default=None, description="When the person signed in to your application, if it is known."
    )
    next: Annotated[str, Field(max_length=1_000)] = Field(
        default=HOME, description="The page to open: `/exports`, `/exports/ID`, `/new/TYPE`."
    )

    @field_validator("subject", "tenant")
    @classmethod
    def _check_name(cls, value: str | None) -> str | None:
        if value is not None and not is_identifier(value):
            raise ValueError(f"give {IDENTIFIER}")
        return value


class PortalLinkDocument(BaseModel):
    """A link. It opens the pages once; whoever has it is that person, so hand it to nobody else."""

    url: str
    expires_at: datetime


@router.post(
    "/portal-links",
    status_code=201,
    summary="Make a link that signs one person in to the pages",
    dependencies=[Depends(limited("request")), Depends(require_unambiguous_json)],
    responses=problem_responses(400, 401, 403, 413, 422, 429),
)
async def make_portal_link(
    body: PortalLinkBody, request: Request, principal: CurrentPrincipal, services: AppServices
) -> PortalLinkDocument:
    """For back ends with the scope `exports:portal`. Send the person's browser there at once: the
    link lives for minutes and works one time."""
    person = Principal(
        body.subject,
        tenant=body.tenant if "tenant" in body.model_fields_set else principal.tenant,
        scopes=frozenset(body.scopes),
        roles=frozenset(body.roles),
        email=body.email,
        authenticated_at=body.signed_in_at,
    )
    services.access.check_link(principal, person)
    if not is_target(body.next):
        raise InvalidOption("next", "give one of the pages: /exports, /exports/ID, /new/TYPE")
    secret, expires_at = await services.portal_links.mint(person, body.next)
    await services.audit.record(principal, AuditAction.LINKED)
    root = api_base(request, services).removesuffix("/api")
    return PortalLinkDocument(url=f"{root}/portal/{quote(secret)}", expires_at=expires_at)
