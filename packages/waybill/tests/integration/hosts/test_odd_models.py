"""Models that are less plain than a shop's: values of every kind, tables elsewhere than Django's
usual, managers that leave rows out."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from waybill.catalog import Catalog, Export
from waybill.errors import ConfigurationError, InvalidOption
from waybill.run.runner import Outcome

from .conftest import ORDERS, Project
from .test_django_admin import as_user
from .test_querysets import keys, stored

# isort: split
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.contrib.postgres.fields import ArrayField, DateRangeField
from django.contrib.postgres.search import SearchVector
from django.core.exceptions import PermissionDenied
from django.db import connection, models
from django.db.models import F, Q
from django.db.models.fields.json import KT
from django.test import override_settings
from shop.models import Company, Order

from waybill.django.exporting import request_export


class Shown(models.Manager):  # type: ignore[misc]
    def get_queryset(self) -> Any:
        return super().get_queryset().filter(is_hidden=False)


class Tag(models.Model):  # type: ignore[misc]
    name = models.CharField(max_length=9)
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveBigIntegerField()
    of = GenericForeignKey()

    class Meta:
        app_label = "odd"


class Paper(models.Model):  # type: ignore[misc]
    company = models.ForeignKey(Company, models.CASCADE, db_column="firma")
    title = models.CharField(max_length=20, db_column="Title 100")
    is_hidden = models.BooleanField(default=False)
    data = models.JSONField(default=dict)
    words = ArrayField(models.CharField(max_length=9), default=list)
    numbers = ArrayField(models.IntegerField(), default=list)
    address = models.GenericIPAddressField(null=True)
    valid = DateRangeField(null=True)
    tags = GenericRelation(Tag)
    shown = Shown()
    objects = models.Manager()

    class Meta:
        app_label = "odd"
        db_table = 'sales"."paper'


P = Paper.objects
CHOSEN: dict[str, Callable[[], Any]] = {
    "its own manager": Paper.shown.all,
    "JSON by a key": lambda: P.filter(data__name="x4"),
    "JSON by keys": lambda: P.filter(data__at__here=4, data__list__1=4),
    "JSON of some": lambda: P.filter(data__name__in=["x4", 'x"\'\\6']),
    "JSON beyond": lambda: P.filter(data__at__here__gt=4),
    "JSON within": lambda: P.filter(data__contains={"name": "x4"}),
    "JSON, whole": lambda: P.filter(data={"name": 1}),
    "JSON's null": lambda: P.filter(data__nothing=None),
    "a key of JSON": lambda: P.filter(data__has_key="odd"),
    "keys of JSON": lambda: P.filter(Q(data__has_any_keys=["odd", "a?"]) | Q(data__has_keys=["z"])),
    "JSON as text": lambda: P.alias(name=KT("data__name")).filter(name="x4"),
    "words": lambda: P.filter(words__contains=["q1"]),
    "odd words": lambda: P.filter(words__overlap=["none", 'o"d,\\'], words__len=3),
    "no words": lambda: P.exclude(words=[]).filter(words__0="p"),
    "numbers": lambda: P.filter(numbers__contained_by=[4, 3, 6]).exclude(numbers=[]),
    "an address": lambda: P.filter(address__in=["10.0.0.4", "10.0.0.6"]).exclude(address="::1"),
    "a range": lambda: P.filter(valid__contains=dt.date(2026, 1, 5)),
    "what hangs on it": lambda: P.filter(tags__name="t2"),
    "what does not": lambda: P.exclude(tags__name="t2"),
    "words of a text": lambda: P.alias(v=SearchVector("title", config="english")).filter(v="t4"),
    "an odd column": lambda: P.filter(title__contains="4 100%", title__startswith=F("title")),
}  # fmt: skip


@pytest.fixture
def papers(shop: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA sales")
    with connection.schema_editor() as editor:
        editor.create_model(Tag)
        editor.create_model(Paper)
    companies = Company.objects.order_by("pk")
    for i in range(20):
        paper = P.create(
            company=companies[i % 2],
            title=f"T{i} 100%",
            is_hidden=i % 5 == 0,
            data={"name": f"x{i}", "at": {"here": i}, "list": [0, i], "nothing": None}
            | ({"odd": 1} if i % 3 else {}),
            words=["p", f"q{i % 3}", 'o"d,\\'],
            numbers=[i, 3],
            address=f"10.0.0.{i}",
            valid=(dt.date(2026, 1, i + 1), None),
        )
        Tag.objects.create(of=paper, name=f"t{i % 4}")
    return shop


def test_values_of_every_kind_choose_what_django_shows(papers: str) -> None:
    types = Catalog.from_django(Export(Paper, name="papers", tenant="company"))
    for tenant in ("1", "2"):
        theirs = set(P.filter(company=tenant).values_list("pk", flat=True))
        for what, queryset in CHOSEN.items():
            request = stored(types.select_rows("papers", queryset()), "papers")
            shown = set(queryset().values_list("pk", flat=True))
            assert keys(papers, request, tenant, types) == shown & theirs, what
    with pytest.raises(InvalidOption, match="type Range cannot be kept"):
        types.select_rows("papers", P.filter(valid__overlap=(None, dt.date(2026, 1, 5))))


def test_models_of_another_schema_are_chosen_from_there(
    shop_project: Project, project_settings: dict[str, Any]
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA app")
        for model in Order, Company, Order.customer.field.related_model:
            cursor.execute(f"ALTER TABLE {model._meta.db_table} SET SCHEMA app")
        # As OPTIONS = {"options": "-c search_path=app,public"} has it.
        cursor.execute("SET search_path = app, public")
    orders = Export(Order, name="orders", tenant="customer__company")
    types = Catalog.from_django(orders, schema="app")
    request = stored(types.select_rows("orders", Order.objects.filter(customer__country="DE")))
    assert 0 < len(keys(shop_project.dsn, request, "1", types)) < ORDERS
    with override_settings(WAYBILL={**project_settings, "CATALOG": types}):
        from waybill.django.host import load_host

        assert load_host().type_of(Order) is types["orders"]


def test_migrations_that_change_types_and_tables_fail_what_waits_once_and_say_why(
    shop_project: Project,
) -> None:
    for queryset, migration, says in (
        (Order.objects.filter(status="paid"),
         "ALTER status DROP DEFAULT, ALTER status TYPE int USING 1", "column's type was changed"),
        (Order.objects.filter(total__gt=3),
         "ALTER total TYPE text", "type has no ordering .* or was changed"),
        (Order.objects.all(), "DROP total", "no column 'total'"),
        (Order.objects.all(), "RENAME TO shop_purchase", "no table or view 'shop_order'"),
    ):  # fmt: skip
        exported = request_export(as_user("ann"), queryset)
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE shop_order {migration}")
        outcome, job, data = shop_project.run(exported.id)
        assert (outcome, job.attempt, data) == (Outcome.FAILED, 1, b"")
        (attempt,) = shop_project.attempts(job.id)
        assert re.search(says, attempt.message or ""), attempt.message


def test_tenants_are_keys_of_any_kind_and_what_is_none_is_named(
    shop_project: Project, project_settings: dict[str, Any]
) -> None:
    def principal(**given: Any) -> Any:
        with override_settings(WAYBILL={**project_settings, **given}):
            from waybill.django.host import load_host

            return load_host().principal(as_user("ann"))

    for key, tenant in ((5, "5"), (UUID(int=7), str(UUID(int=7))), ("a", "a"), (None, None)):
        assert principal(TENANT=lambda _, key=key: key).tenant == tenant
    with pytest.raises(ConfigurationError, match=r"gave a Company\. It has to return the tenant's"):
        principal(TENANT=lambda _: Company())
    with pytest.raises(ConfigurationError, match=r"gave a str\. It has to return a waybill"):
        principal(PRINCIPAL=lambda _: "ann")
    with pytest.raises(PermissionDenied):
        principal(PRINCIPAL=lambda _: None)
