"""Exports in a Django project's admin: begun, watched and downloaded by whoever may, and by nobody
else; the tenant's filter holds whatever the admin, a query or a hook says."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import warnings
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from waybill.errors import ConfigurationError, InvalidOption, UnknownExportType
from waybill.run.runner import Outcome

from .conftest import ORDERS, WITH_MORE_MIDDLEWARE, Project, Sign

# isort: split
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.db.models import Count, F
from django.test import AsyncRequestFactory, Client, RequestFactory, override_settings
from shop.admin import OrderAdmin
from shop.models import Customer, Membership, Order

from waybill.django import views
from waybill.django.admin import ExportMixin
from waybill.django.exporting import request_export

CHANGELIST = "/admin/shop/order/"
EXPORT = "/admin/shop/order/export/"


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def export_id(response: Any) -> str:
    """Return the export that an answer leads to."""
    assert response.status_code == 302, response.content
    found = re.fullmatch(r"/exports/([0-9a-f-]{36})/", response["Location"])
    assert found, response["Location"]
    return found[1]


class Location(Enum):
    """As Django 6.1 has it."""

    CHANGE_LIST = "changelist"
    CHANGE_FORM = "changeform"


class OfNewerDjango(admin.ModelAdmin):
    def get_actions(
        self, request: Any, action_location: Location = Location.CHANGE_LIST
    ) -> dict[str, Any]:
        return {"theirs": action_location}


class OfOlderDjango(admin.ModelAdmin):
    def get_actions(self, request: Any) -> dict[str, Any]:
        return {"theirs": None}


def test_action_is_offered_on_changelists_whatever_djangos_admin_asks(
    shop_project: Project,
) -> None:
    request = as_user("ann")
    newer, older = (
        type("Admin", (ExportMixin, base), {})(Order, admin.site)
        for base in (OfNewerDjango, OfOlderDjango)
    )
    for location in Location:
        assert newer.get_actions(request, action_location=location)["theirs"] is location
    for each in (newer, older):
        assert set(each.get_actions(request)) == {"theirs", "export_selected"}
        assert "export_selected" in each.get_actions(request, action_location=Location.CHANGE_LIST)
        form = each.get_actions(request, action_location=Location.CHANGE_FORM)
        assert "export_selected" not in form


def test_changelist_uses_nothing_that_django_removes(shop_project: Project, sign_in: Sign) -> None:
    with warnings.catch_warnings():
        # RemovedInDjango… are either.
        warnings.simplefilter("error", DeprecationWarning)
        warnings.simplefilter("error", PendingDeprecationWarning)
        assert sign_in("ann").get(CHANGELIST).status_code == 200


def as_user(name: str) -> Any:
    request = RequestFactory().get("/")
    request.user = User.objects.get(username=name)
    return request


def test_selected_and_matching_orders_are_exported_and_downloaded(
    shop_project: Project, sign_in: Sign
) -> None:
    ann = sign_in("ann")
    page = ann.get(CHANGELIST, {"status": "paid", "q": "Chair"})
    assert b"Export selected orders" in page.content
    assert f"{EXPORT}?status=paid&amp;q=Chair" in page.content.decode()

    picked = [str(pk) for pk in Order.objects.order_by("pk").values_list("pk", flat=True)[:3]]
    chosen = ann.post(CHANGELIST, {"action": "export_selected", "_selected_action": picked})
    outcome, job, data = shop_project.run(export_id(chosen))
    assert outcome is Outcome.COMPLETED
    assert [row["ID"] for row in rows(data)] == picked
    assert "Note" not in rows(data)[0]

    # Every page of what is shown, by the query and not by keys.
    everything = ann.post(
        f"{CHANGELIST}?status=paid&q=Chair",
        {"action": "export_selected", "_selected_action": picked[:1], "select_across": "1"},
    )
    shown = Order.objects.filter(
        status="paid", products__name="Chair", customer__company__name="Acme"
    ).distinct()
    _, job, data = shop_project.run(export_id(everything))
    assert {row["ID"] for row in rows(data)} == {str(each.pk) for each in shown}
    assert shown
    kept = str(job.options["filters"]["(rows)"])
    assert "Chair" in kept
    assert " IN (" not in kept.replace("IN (SELECT", "")

    form = ann.get(f"{EXPORT}?customer__country=DE")
    assert f"<p>{shown_in('DE')} orders" in form.content.decode()
    begun = ann.post(f"{EXPORT}?customer__country=DE", {"format": "ndjson"})
    where = begun["Location"]
    waiting = ann.get(where)
    assert waiting["Refresh"] == "2"
    assert b"<progress" in waiting.content
    assert ann.get(f"{where}download/").status_code == 409
    _, job, data = shop_project.run(export_id(begun))
    assert len(data.splitlines()) == shown_in("DE")

    done = ann.get(where)
    assert "Refresh" not in done
    assert f"{where}download/" in done.content.decode()
    link = ann.get(f"{where}download/")
    assert link.status_code == 302
    assert "X-Amz-Signature" in link["Location"]
    assert where in ann.get("/exports/").content.decode()
    assert ann.post(f"{where}discard/").status_code == 302
    assert ann.get(f"{where}download/").status_code == 410


def shown_in(country: str) -> int:
    return int(
        Order.objects.filter(customer__country=country, customer__company__name="Acme").count()
    )


def test_nobody_gets_what_is_not_theirs(
    shop_project: Project, sign_in: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The admin's own filter gone, and a search that says OR true: the declared one holds.
    monkeypatch.setattr(OrderAdmin, "get_queryset", admin.ModelAdmin.get_queryset)
    theirs = Order.objects.filter(customer__company__name="Acme")
    acme = {str(pk) for pk in theirs.values_list("pk", flat=True)}
    everybodys = [str(pk) for pk in Order.objects.values_list("pk", flat=True)]
    assert len(everybodys) == 2 * ORDERS
    ann, bob, guy = (sign_in(name) for name in ("ann", "bob", "guy"))
    _, _, data = shop_project.run(export_id(ann.post(EXPORT)))
    assert {row["ID"] for row in rows(data)} == acme
    picked = {"action": "export_selected", "_selected_action": everybodys}
    _, _, data = shop_project.run(export_id(ann.post(CHANGELIST, picked)))
    assert {row["ID"] for row in rows(data)} == acme
    for queryset in (
        Order.objects.all(),
        Order.objects.filter(customer__company=2) | Order.objects.all(),
        Order.objects.filter(pk__in=Order.objects.exclude(pk=0).values("pk")),
    ):
        job = request_export(as_user("ann"), queryset)
        # Who moves on in the meantime exports as whoever asked.
        Membership.objects.filter(user__username="ann").update(company_id=2)
        _, _, data = shop_project.run(job.id)
        Membership.objects.filter(user__username="ann").update(company_id=1)
        assert {row["ID"] for row in rows(data)} == acme, queryset.query
    where = f"/exports/{job.id}/"
    assert ann.get(where).status_code == 200
    for stranger in (bob, guy):
        for page in (where, f"{where}download/"):
            assert stranger.get(page).status_code == 404
        assert stranger.post(f"{where}discard/").status_code == 404
        assert where not in stranger.get("/exports/").content.decode()
    # Nobody's tenant has no rows, so the type is not offered at all.
    assert b"export" not in guy.get(CHANGELIST).content
    assert guy.get(EXPORT).status_code == guy.post(EXPORT).status_code == 403
    with pytest.raises(UnknownExportType):
        request_export(as_user("guy"), Order.objects.all())


def test_permissions_are_scopes(shop_project: Project, sign_in: Sign) -> None:
    ann = User.objects.get(username="ann")
    export, view = (
        ann.user_permissions.get(codename=name) for name in ("export_order", "view_customer")
    )
    ann.user_permissions.remove(export)
    assert b"Export" not in sign_in("ann").get(CHANGELIST).content
    assert sign_in("ann").post(EXPORT).status_code == 403
    with pytest.raises(UnknownExportType):
        request_export(as_user("ann"), Order.objects.all())
    ann.user_permissions.add(export)

    # Personal data: without the permission the columns are left out, and nobody asks by them.
    _, _, data = shop_project.run(request_export(as_user("ann"), Customer.objects.all()).id)
    assert set(rows(data)[0]) == {"ID", "Company", "Country"}
    searched = sign_in("ann").post("/admin/shop/customer/export/?q=Customer", follow=True)
    assert "exports:pii" in searched.content.decode()
    _, _, data = shop_project.run(request_export(as_user("root"), Customer.objects.all()).id)
    assert {"Name", "E-mail address"} < set(rows(data)[0])
    assert len(rows(data)) == 10

    ann.user_permissions.remove(view)
    assert sign_in("ann").get("/admin/shop/customer/export/").status_code == 403
    User.objects.filter(username="ann").update(is_active=False)
    assert "/login/" in sign_in("ann").get("/exports/")["Location"]
    assert "/login/" in Client().get("/exports/")["Location"]


def test_pages_hold_under_a_strict_policy_and_against_forgery(
    shop_project: Project, sign_in: Sign
) -> None:
    where = sign_in("ann").post(EXPORT)["Location"]
    forger = Client(enforce_csrf_checks=True)
    forger.force_login(User.objects.get(username="ann"))
    for page in (EXPORT, CHANGELIST, f"{where}discard/"):
        assert forger.post(page, {"action": "export_selected"}).status_code == 403
    assert forger.get(f"{where}discard/").status_code == 405
    for page in (EXPORT, where, "/exports/", f"/exports/{UUID(int=1)}/"):
        content = sign_in("ann").get(page).content.decode()
        scripts = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", content)
        assert scripts == [], page
        assert re.search(r"<style|\sstyle=|\son\w+=|javascript:", content) is None, page


def test_file_is_passed_through_whole_in_both_worlds(
    shop_project: Project, project_settings: dict[str, Any], sign_in: Sign
) -> None:
    with override_settings(
        WAYBILL={**project_settings, "DOWNLOAD": "stream"}, MIDDLEWARE=WITH_MORE_MIDDLEWARE
    ):
        from waybill.django.host import forget_host

        forget_host()
        job = request_export(as_user("ann"), Order.objects.filter(status="paid"))
        _, _, data = shop_project.run(job.id)
        compressing = {"accept-encoding": "gzip"}
        answer = sign_in("ann").get(f"/exports/{job.id}/download/", headers=compressing)
        assert b"".join(answer.streaming_content) == data
        assert answer["Content-Length"] == str(len(data))
        assert "attachment" in answer["Content-Disposition"]

        request = AsyncRequestFactory().get("/")
        request.user = User.objects.get(username="ann")
        request.user.get_all_permissions()
        answer = views.download_export(request, export_id=job.id)
        assert answer.is_async

        async def read() -> bytes:
            return b"".join([chunk async for chunk in answer.streaming_content])

        assert asyncio.run(read()) == data


def test_renamed_column_fails_a_waiting_job_once_and_clearly(shop_project: Project) -> None:
    exported = request_export(as_user("ann"), Order.objects.filter(status="paid"))
    by_country = request_export(as_user("ann"), Order.objects.filter(customer__country="DE"))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shop_order RENAME total TO amount")
        cursor.execute("ALTER TABLE shop_customer RENAME country TO land")
    outcome, job, data = shop_project.run(exported.id)
    assert (outcome, job.attempt, job.error_code) == (Outcome.FAILED, 1, "source_rejected")
    (attempt,) = shop_project.attempts(job.id)
    assert "no column 'total'" in (attempt.message or "")
    assert data == b""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shop_order RENAME amount TO total")
    outcome, job, _ = shop_project.run(by_country.id)
    assert (outcome, job.attempt, job.error_code) == (Outcome.FAILED, 1, "source_rejected")


def test_set_up_and_wrong_settings_are_told(
    shop_project: Project, project_settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("waybill_setup")
    said = capsys.readouterr().out
    assert "waybill's tables are at" in said
    assert "3 models can be exported" in said
    from waybill.django.checks import check_settings
    from waybill.django.host import load_host
    from waybill.django.settings import as_environment, given_settings

    assert check_settings() == []
    assert as_environment()["WAYBILL_CATALOG"] == "waybill.django.catalog:load"
    assert given_settings()["database_url"].endswith(connection.settings_dict["NAME"])
    for wrong, says in (
        ({"CATALOGUE": "x"}, "Did you mean 'CATALOG'"),
        ({"CATALOG": "shop.exports.catalogue"}, "catalogue"),
        ({"TENANT": "shop.nowhere.tenant_of"}, "shop.nowhere"),
        ({"DATABASE": "others"}, "none of yours"),
        ({"STORAGE": "default"}, "no S3 of django-storages"),
        ({"CATALOG": ""}, "names no catalog"),
    ):
        with override_settings(WAYBILL={**project_settings, **wrong}):
            (error,) = check_settings()
            assert says in error.msg
            with pytest.raises(ConfigurationError, match=re.escape(says)):
                load_host()
    # Functions are given to other processes by their names, other objects cannot be.
    with override_settings(WAYBILL={**project_settings, "AUDIT_SINK": load_host}):
        assert as_environment()["WAYBILL_AUDIT_SINK"] == "waybill.django.host:load_host"
    with (
        override_settings(WAYBILL={**project_settings, "S3_CLIENT": object()}),
        pytest.raises(ConfigurationError, match=r"package\.module:attribute"),
    ):
        as_environment()
    storages = {
        "default": {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {"bucket_name": "theirs", "region_name": "eu-central-1"},
        }
    }
    bare = {name: value for name, value in project_settings.items() if not name.startswith("S3_")}
    with override_settings(WAYBILL=bare, STORAGES=storages, AWS_ACCESS_KEY_ID="key"):
        given = given_settings()
    assert (given["s3_bucket"], given["s3_region"]) == ("theirs", "eu-central-1")
    assert given["s3_access_key_id"] == "key"


def test_sources_of_a_project_are_those_of_waybills_processes(
    shop_project: Project, project_settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from waybill.django.settings import as_environment, given_settings

    theirs = {"reporting": "postgresql://h/reporting", "eu": "postgresql://h/eu"}
    monkeypatch.setenv("WAYBILL_SOURCE_DSN_EU", "postgresql://h/other")
    with override_settings(WAYBILL={**project_settings, "SOURCE_DSNS": theirs}):
        environment, given = as_environment(), given_settings()
    # The environment goes before them, one by one.
    assert given["source_dsns"] == {"reporting": "postgresql://h/reporting"}
    assert environment["WAYBILL_SOURCE_DSN_REPORTING"] == "postgresql://h/reporting"
    assert {"WAYBILL_SOURCE_DSNS", "WAYBILL_SOURCE_DSN_EU"}.isdisjoint(environment)


def test_a_query_that_cannot_be_kept_is_told_to_the_person(
    shop_project: Project, sign_in: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidOption, match="sliced"):
        request_export(as_user("ann"), Order.objects.all()[:5])

    def sql(self: Any, request: Any) -> Any:
        return Order.objects.extra(where=["true"])

    monkeypatch.setattr(OrderAdmin, "get_queryset", sql)
    told = sign_in("ann").post(EXPORT, follow=True)
    assert "SQL as text" in told.content.decode()


def test_what_a_changelist_shows_besides_keeps_nobody_from_exporting(
    shop_project: Project, sign_in: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(self: Any, request: Any) -> Any:
        orders = Order.objects.filter(customer__company__membership__user=request.user)
        # Ann may read no addresses, and exports none.
        computed = orders.annotate(email=F("customer__email"), n=Count("products"))
        return computed.filter(n__gt=0).extra(select={"one": "1"}).order_by("-one")

    monkeypatch.setattr(OrderAdmin, "get_queryset", shown)
    _, _, data = shop_project.run(export_id(sign_in("ann").post(f"{EXPORT}?status=paid")))
    expected = Order.objects.filter(
        customer__company__name="Acme", status="paid", products__isnull=False
    )
    assert {row["ID"] for row in rows(data)} == {str(each.pk) for each in expected} != set()
