"""The door: who may do what with which job, with which file, and ask for what.

Every route, event stream, download, list and count asks here, and nowhere else are tenants, owners
and scopes compared. What is decided is data (``_SCOPE_OF``, ``Reach``), so that the answer for one
job and the condition of a list are the same rule.

The right to see a job is of its owner and of administrators; the right to its *file* is asked anew
each time, by the scopes that the caller has today and by today's catalog.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Final

from waybill.catalog import Catalog, Column, ExportType
from waybill.catalog.filters import Filter
from waybill.catalog.model import PERSONAL_DATA_SCOPE
from waybill.clock import Clock
from waybill.errors import (
    ExportNotFound,
    FileDenied,
    InvalidOption,
    PermissionDenied,
    PersonalDataDenied,
    RecentLoginRequired,
    UnknownColumn,
    UnknownExportType,
    UnknownFilter,
)
from waybill.jobs.job import ExportJob
from waybill.jobs.reach import EVERYTHING, Reach
from waybill.log import get_logger
from waybill.principal import ADMIN, ALL_TENANTS, PORTAL, READ, REQUEST, Principal
from waybill.requests.request import ExportRequest, rows_of

log = get_logger(__name__)

_CLOCKS_MAY_DIFFER: Final = timedelta(seconds=30)


class Deed(Enum):
    """What somebody wants to do with jobs."""

    LIST_OWN = auto()
    SEE = auto()
    """One job: its status, its progress, that it exists."""
    FETCH = auto()
    """Its file, or what is as telling: the manifest, events, length and digest."""
    DISCARD = auto()
    """Cancel, or delete the file."""
    ADMINISTER = auto()
    """Others' jobs: list, count, cancel, revoke, replay, and read the trail."""


_SCOPE_OF: Final = {
    Deed.LIST_OWN: READ,
    Deed.SEE: READ,
    Deed.FETCH: READ,
    Deed.DISCARD: REQUEST,
    Deed.ADMINISTER: ADMIN,
}


@dataclass(frozen=True, slots=True)
class Usable:
    """What of a type somebody may use, in the order of the catalog."""

    columns: tuple[Column, ...]
    filters: tuple[Filter, ...]
    has_since: bool


class Access:
    """Decides. Holds no state, asks no server.

    Args:
        catalog: as it is today.
        clock: tells how long ago a sign-in was.
    """

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock

    # -- jobs -------------------------------------------------------------------------------------

    def reach(self, principal: Principal, deed: Deed) -> Reach:
        """Return the jobs with which the principal may do ``deed``.

        Raises:
            PermissionDenied: with none at all.
        """
        require(principal, _SCOPE_OF[deed])
        if deed is Deed.LIST_OWN or not principal.may(ADMIN):
            return Reach((("requested_by", principal.subject), ("tenant", principal.tenant)))
        if principal.may(ALL_TENANTS):
            return EVERYTHING
        return Reach((("tenant", principal.tenant),))

    def admit(
        self, principal: Principal, deed: Deed, job: ExportJob | None, export_id: object
    ) -> ExportJob:
        """Return ``job``, if the principal may do ``deed`` with it.

        Raises:
            PermissionDenied
            ExportNotFound: there is none, or it is out of reach: the two look the same.
        """
        reach = self.reach(principal, deed)
        if job is None or not reach.includes(job):
            raise ExportNotFound(str(export_id))
        return job

    def administers(self, principal: Principal) -> bool:
        """Whether there are others' jobs that the principal may see to."""
        return principal.may(_SCOPE_OF[Deed.ADMINISTER])

    def check_link(self, principal: Principal, person: Principal) -> None:
        """Make sure that the principal may make a link that signs ``person`` in.

        Raises:
            PermissionDenied: they may make none, or not for that tenant, or the person would get
                what the maker has not.
            InvalidOption: the person would get a role that the maker has not, or the right to make
                links.
        """
        require(principal, PORTAL)
        if person.tenant != principal.tenant:
            require(principal, ALL_TENANTS)
        if PORTAL in person.scopes:
            raise InvalidOption("scopes", "who comes by a link makes none")
        for scope in sorted(person.scopes):
            require(principal, scope)
        if person.roles - principal.roles:
            raise InvalidOption("roles", "give only roles that the maker of the link has")

    # -- files ------------------------------------------------------------------------------------

    def check_file(self, principal: Principal, job: ExportJob) -> None:
        """Make sure that the principal may have today what the file of ``job`` holds.

        The job itself was admitted before.

        Raises:
            FileDenied, RecentLoginRequired
        """
        export_type = self._check_scopes_of_file(principal, job)
        self._check_recent_login(principal, export_type)

    def may_have_file(self, principal: Principal, job: ExportJob) -> bool:
        """Whether ``check_file`` would pass, if need be after signing in again."""
        try:
            self._check_scopes_of_file(principal, job)
        except FileDenied:
            return False
        return True

    def _check_scopes_of_file(self, principal: Principal, job: ExportJob) -> ExportType:
        export_type = self._catalog.get(job.export_type)
        if export_type is None:
            # Nobody says any more who may have it.
            raise FileDenied("its export type is not offered any more")
        for scope in (*export_type.requires, *_personal_scopes(job, export_type)):
            if not principal.may(scope):
                raise FileDenied(f"that needs the scope {scope!r} today", scope)
        terms = _request(job).terms
        if terms is not None and terms.rows != rows_of(export_type):
            raise FileDenied("its export type gives out other rows today; request it anew")
        return export_type

    # -- requests ---------------------------------------------------------------------------------

    def find_type(self, principal: Principal, name: str) -> ExportType:
        """Return the type, for one who may request it.

        A type that is not offered to the principal is unknown to them: one answer, so that nobody
        learns what others may export by asking for it.

        Raises:
            PermissionDenied: they may request nothing at all.
            UnknownExportType: names the types that the principal may request, and no other.
        """
        require(principal, REQUEST)
        export_type = self._catalog.get(name)
        if export_type is None or not _is_offered(export_type, principal):
            if export_type is not None:
                # For the operator, who is asked why it is not there.
                log.info("access.type_not_offered", type=export_type.name)
            raise UnknownExportType(name, tuple(each.name for each in self.offered(principal)))
        return export_type

    def offered(self, principal: Principal) -> Sequence[ExportType]:
        """Return the types that the principal may request, by name.

        Raises:
            PermissionDenied: they may request nothing at all.
        """
        require(principal, REQUEST)
        return [
            export_type
            for _, export_type in sorted(self._catalog.items())
            if _is_offered(export_type, principal)
        ]

    def usable(self, principal: Principal, export_type: ExportType) -> Usable:
        """Return what of an offered type the principal may use: nothing else is shown to them."""
        return Usable(
            tuple(
                each
                for each in export_type.columns
                if self._may_use(principal, export_type, each.name)
            ),
            tuple(
                each
                for each in export_type.filters
                if _may(principal, export_type.scope_of_filter(each))
            ),
            has_since=bool(export_type.since) and _may(principal, export_type.scope_of_since()),
        )

    def check_request(self, principal: Principal, request: ExportRequest) -> ExportRequest:
        """Return the request in its canonical form, if the principal may make it.

        Names come first, then rights, then values: what is wrong with the value of a filter is told
        to nobody who may not use it.

        Raises:
            PermissionDenied, PersonalDataDenied, RecentLoginRequired, UnknownExportType, and what
            ``ExportRequest.canonical`` raises, where only columns and filters are named that the
            principal may use.
        """
        export_type = self.find_type(principal, request.export_type)
        self._check_recent_login(principal, export_type)
        self._check_names(principal, export_type, request)
        denied = [need for need in request.needs(export_type) if not principal.may(need.scope)]
        if denied:
            scope = denied[0].scope
            what = dict.fromkeys(need.what for need in denied if need.scope == scope)
            raise PersonalDataDenied(tuple(what), scope)
        return request.canonical(export_type)

    def _check_names(
        self, principal: Principal, export_type: ExportType, request: ExportRequest
    ) -> None:
        try:
            request.check_names(export_type)
        except UnknownColumn as exc:
            columns = tuple(
                name for name in exc.known if self._may_use(principal, export_type, name)
            )
            raise UnknownColumn(exc.name, exc.export_type, columns) from None
        except UnknownFilter as exc:
            filters = self.usable(principal, export_type).filters
            raise UnknownFilter(
                exc.name, exc.export_type, tuple(each.name for each in filters)
            ) from None

    def _may_use(self, principal: Principal, export_type: ExportType, column: str) -> bool:
        return _may(principal, export_type.scope_of_column(column))

    def _check_recent_login(self, principal: Principal, export_type: ExportType) -> None:
        seconds = export_type.requires_recent_login_seconds
        if seconds is None:
            return
        signed_in_at, now = principal.authenticated_at, self._clock.now()
        # A time to come is no time at which somebody signed in.
        if (
            signed_in_at is None
            or now - signed_in_at > timedelta(seconds=seconds)
            or signed_in_at - now > _CLOCKS_MAY_DIFFER
        ):
            raise RecentLoginRequired(export_type.name, seconds)


def require(principal: Principal, scope: str) -> None:
    """Raise ``PermissionDenied`` unless the principal has ``scope``."""
    if not principal.may(scope):
        raise PermissionDenied(scope)


def _may(principal: Principal, scope: str) -> bool:
    return not scope or principal.may(scope)


def _is_offered(export_type: ExportType, principal: Principal) -> bool:
    return all(map(principal.may, export_type.requires)) and _has_rows(export_type, principal)


def _has_rows(export_type: ExportType, principal: Principal) -> bool:
    scope = export_type.scope
    return scope is None or not scope.needs_tenant or principal.tenant is not None


def _request(job: ExportJob) -> ExportRequest:
    return ExportRequest.from_job(job.export_type, job.format, job.options)


def _personal_scopes(job: ExportJob, export_type: ExportType) -> Iterator[str]:
    """Give the scopes that a job's file needs: by the catalog when it was requested, and by today's
    for the columns that it holds."""
    request = _request(job)
    for need in request.needs(export_type, job.file_columns):
        yield need.scope
    if request.terms is not None:
        yield from request.terms.personal
    elif set(request.filters) - {each.name for each in export_type.filters}:
        # A filter of which nobody knows any more what it compared.
        yield PERSONAL_DATA_SCOPE
