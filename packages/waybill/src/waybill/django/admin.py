"""Exports from a changelist: ``class OrderAdmin(ExportMixin, admin.ModelAdmin)``.

"Export selected …" is an action; "Export all matching" is a page behind the changelist, which asks
for a format. Both keep the query, with the changelist's filters and search in it, not its rows.
"""

from __future__ import annotations

from inspect import signature
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse

from waybill.catalog.django_queries import without_output
from waybill.django.exporting import request_export, type_name
from waybill.django.host import get_host
from waybill.errors import AuthenticationRequired, RequestError
from waybill.formats import ENCODERS

_ACTION = "export_selected"


class ExportMixin(admin.ModelAdmin):
    """Adds both to a ``ModelAdmin``. ``export_type`` names the type, if the model has several."""

    change_list_template = "waybill/change_list.html"
    export_type: str | None = None

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Whether the user may see the model, and is offered its export type."""
        host = get_host()
        if not self.has_view_permission(request):
            return False
        try:
            principal = host.principal(request)
            host.parts.access.find_type(principal, self._type_name())
        except (RequestError, AuthenticationRequired, PermissionDenied):
            return False
        return True

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Add the action on changelists, for whoever may. Since Django 6.1 forms have some, too."""
        is_changelist = getattr(action_location, "name", "CHANGE_LIST") == "CHANGE_LIST"
        theirs = super().get_actions
        actions: dict[str, Any] = {}
        if action_location is not None and "action_location" in signature(theirs).parameters:
            actions = theirs(request, action_location=action_location)
        elif is_changelist:
            actions = theirs(request)
        if is_changelist and self.has_export_permission(request):
            actions[_ACTION] = (ExportMixin.export_selected, _ACTION, _description())
        return actions

    @staticmethod
    def export_selected(
        model_admin: ExportMixin, request: HttpRequest, queryset: Any
    ) -> HttpResponse | None:
        """Export what is ticked, or, with all pages ticked, all that matches."""
        return model_admin._export(request, queryset, "csv")

    def get_urls(self) -> list[Any]:
        """Add the page of "Export all matching"."""
        page = path("export/", self.admin_site.admin_view(self.export_view), name=self._page_name())
        return [page, *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for the format (GET), or begin (POST), of all that the changelist would show."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        changelist: ChangeList = self.get_changelist_instance(request)
        if request.method == "POST":
            # The changelist's own query: filters and search in it, its pages not.
            answer = self._export(request, changelist.queryset, request.POST.get("format", "csv"))
            return answer or redirect(self._page_of(request))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Export {self.opts.verbose_name_plural}",
            "count": changelist.result_count,
            "formats": sorted(ENCODERS),
            "changelist_url": f"{self._changelist_url()}?{request.GET.urlencode()}",
        }
        return render(request, "waybill/export.html", context)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the way to the page."""
        shown = dict(extra_context or {})
        if self.has_export_permission(request):
            shown["waybill_export_url"] = self._page_of(request)
        return super().changelist_view(request, shown)

    def _export(self, request: HttpRequest, queryset: Any, format: str) -> HttpResponse | None:
        try:
            job = request_export(
                request, without_output(queryset), format=format, name=self._type_name()
            )
        except RequestError as exc:
            self.message_user(request, str(exc), messages.ERROR)
            return None
        return redirect("waybill:show", export_id=job.id)

    def _type_name(self) -> str:
        return self.export_type or type_name(get_host(), self.model)

    def _page_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_export"

    def _page_of(self, request: HttpRequest) -> str:
        page = reverse(f"{self.admin_site.name}:{self._page_name()}")
        return f"{page}?{request.GET.urlencode()}" if request.GET else page

    def _changelist_url(self) -> str:
        name = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        return str(reverse(f"{self.admin_site.name}:{name}"))


def _description() -> Any:
    from django.utils.translation import gettext_lazy

    return gettext_lazy("Export selected %(verbose_name_plural)s")
