"""A ``QuerySet`` chooses the rows that Django itself would show, and only among the caller's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from waybill.catalog import Catalog, Export, Selection
from waybill.catalog.relation_sql import from_source
from waybill.errors import ConfigurationError, InvalidOption, SourceRejected
from waybill.requests.plan import Requester, open_plan
from waybill.requests.request import ExportRequest
from waybill.source.source import PostgresSource

from .conftest import ORDERS, point_at  # noqa: F401 - sets Django up before its models are imported

# isort: split
from django.contrib.auth.models import User
from django.db import connection, connections, models, router
from django.db.models import Count, Exists, F, Max, OuterRef, Q, Subquery, Sum, Value, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import ExtractHour, Lower, Now, RowNumber, TruncDay, Upper
from django.test import override_settings
from psycopg import sql
from shop.exports import catalog
from shop.models import Company, Customer, Order, Product

O = Order.objects  # noqa: E741
CHOSEN: dict[str, Callable[[], Any]] = {
    "everything": O.all,
    "nothing": O.none,
    "no keys": lambda: O.filter(pk__in=[]),
    "a choice": lambda: O.filter(status=Order.Status.PAID),
    "choices": lambda: O.filter(status__in=[Order.Status.PAID, "open"]),
    "keys": lambda: O.filter(pk__in=[1, 5, 7, 100, 101]),
    "a join": lambda: O.filter(customer__country="DE"),
    "two joins": lambda: O.filter(customer__company__name__istartswith="ac"),
    "many to many": lambda: O.filter(products__name="Chair"),
    "many to many, each once": lambda: O.filter(products__name__contains="a").distinct(),
    "not many to many": lambda: O.exclude(products__name="Chair"),
    "a number": lambda: O.filter(total__gte=Decimal("3.25"), total__lt=10),
    "a moment": lambda: O.filter(created_at__gt=dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
    "a day": lambda: O.filter(created_at__date=dt.date(2026, 1, 2)),
    "an hour": lambda: O.filter(created_at__hour=5),
    "an hour of the day": lambda: O.filter(created_at__time__gte=dt.time(23)),
    "a span": lambda: O.filter(created_at__lt=F("customer__orders__created_at")
                               - dt.timedelta(days=1)),
    "odd text": lambda: O.filter(note__contains="100% '3"),
    "a regular expression": lambda: O.filter(note__regex=r"\d{2}'$"),
    "a function": lambda: O.filter(Q(customer__name__iexact="CUSTOMER 3") | ~Q(status="open")),
    "an alias": lambda: O.alias(n=Count("products")).filter(n__gt=1),
    "a sum": lambda: O.alias(s=Sum("customer__orders__total")).filter(s__gt=1, total__lt=F("s")),
    "a subquery": lambda: O.filter(
        Exists(Customer.objects.filter(pk=OuterRef("customer_id"), country="FR"))
    ),
    "a list of a query": lambda: O.filter(
        customer__in=Customer.objects.annotate(u=Upper("name")).filter(u="CUSTOMER 4")
    ),
    "no value": lambda: O.filter(customer__email__isnull=True),
    "a sort": lambda: O.filter(status="paid").order_by("-customer__name", "?"),
    "what comes along": lambda: O.filter(pk__lt=9).select_related("customer")
        .prefetch_related("products"),
    "a relation's manager": lambda: Customer.objects.order_by("pk")[0].orders.filter(pk__gt=2),
    "the last of each": lambda: O.filter(
        pk__in=O.order_by("customer__email", "-pk").distinct("customer__email")),
    "the first of an order": lambda: O.filter(pk__in=O.order_by("customer__email", "pk")[:9]),
    "a window": lambda: O.alias(
        n=Window(RowNumber(), partition_by="customer", order_by="pk")).filter(n__lte=2),
    "a negative number": lambda: O.filter(total__gt=-5, pk__gt=-1 * F("pk")),
}  # fmt: skip
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a slice": (lambda: O.all()[5:10], "sliced"),
    "a union": (lambda: O.filter(pk=1).union(O.filter(pk=2)), "combines queries"),
    "an intersection": (lambda: O.all().intersection(O.all()), "combines queries"),
    "distinct by a field": (lambda: O.distinct("status"), "distinct by some fields"),
    "a computed column": (lambda: O.annotate(n=Count("products")), "computes columns"),
    "a constant": (lambda: O.annotate(n=Value(1)), "computes columns"),
    "only": (lambda: O.only("id"), "leaves columns out"),
    "defer": (lambda: O.defer("note"), "leaves columns out"),
    "values": (lambda: O.values("id", "total"), "leaves columns out"),
    "values_list": (lambda: O.values_list("id", flat=True), "leaves columns out"),
    "groups": (lambda: O.values("status").annotate(n=Count("id")), "are groups"),
    "a lock": (O.select_for_update, "locks rows"),
    "extra": (lambda: O.extra(where=["1 = 1"]), "SQL as text"),
    "extra in a subquery": (lambda: O.filter(
        customer__in=Customer.objects.extra(where=["1 = 1"])), "SQL as text"),
    "raw SQL": (lambda: O.filter(pk__in=RawSQL("SELECT 1", ())), "SQL as text"),
    "raw": (lambda: O.raw("SELECT * FROM shop_order"), "no query of the model"),
    "another model": (Customer.objects.all, "no query of the model"),
    "a list": (lambda: list(O.all()), "no query of the model"),
    "the model": (lambda: Order, "no query of the model"),
    "a database": (lambda: O.using("other"), "of the database 'other'"),
    "NUL": (lambda: O.filter(note="a\0b"), "NUL"),
    "many keys": (lambda: O.filter(pk__in=range(10_001)), "at most 10,000"),
}  # fmt: skip


def keys(dsn: str, request: ExportRequest, tenant: str = "1", types: Catalog = catalog) -> set[int]:
    """Return the keys of the rows that a request exports."""
    kind = types.get_type(request.export_type)
    source = PostgresSource(dsn)
    with open_plan(
        source, request, kind, Requester(tenant, "ann"), lambda: None,
        application_name="test", statement_timeout_seconds=30,
    ) as (snapshot, plan):  # fmt: skip
        rows = snapshot.fetch(sql.SQL("SELECT id {}").format(from_source(kind.source, plan.where)))
        snapshot.prove_unmoved()
    found = [int(row[0] or 0) for row in rows]
    assert len(set(found)) == len(found)
    return set(found)


def stored(selection: Selection | None, name: str = "orders") -> ExportRequest:
    """Return a request as a run reads it from its job."""
    request = ExportRequest(name, selection=selection)
    return ExportRequest.from_job(name, "csv", request.options_json())


def test_rows_are_those_that_django_shows_and_the_caller_may_have(shop: str) -> None:
    for company in Company.objects.all():
        theirs = set(O.filter(customer__company=company).values_list("pk", flat=True))
        assert len(theirs) == ORDERS
        for what, queryset in CHOSEN.items():
            request = stored(catalog.select_rows("orders", queryset()))
            shown = set(queryset().values_list("pk", flat=True))
            found = keys(shop, request, str(company.pk))
            assert found == shown & theirs, (what, request.selection)


def test_a_query_for_everything_is_none(shop: str) -> None:
    assert catalog.select_rows("orders", O.order_by("-total")) is None
    assert catalog.select_rows("orders", O.none()) is not None


def test_what_cannot_be_kept_exactly_is_refused_with_its_remedy(shop: str) -> None:
    connections.databases["other"] = connections.databases["default"]
    said = {}
    for what, (queryset, _) in REFUSED.items():
        try:
            said[what] = f"kept: {catalog.select_rows('orders', queryset())}"
        except InvalidOption as exc:
            said[what] = str(exc)
    assert {what for what, (_, says) in REFUSED.items() if says not in said[what]} == set()


def test_rows_that_a_router_reads_from_a_copy_are_read_where_exports_are(shop: str) -> None:
    class Copy:
        def db_for_read(self, model: Any, **_: Any) -> str:
            return "copy"

    class Elsewhere(Copy):
        def db_for_write(self, model: Any, **_: Any) -> str:
            return "copy"

    connections.databases["copy"] = connections.databases["default"]
    with routed_by(Copy()):
        assert O.all().db == "copy"
        selection = catalog.select_rows("orders", O.filter(customer__country="DE"))
        assert keys(shop, stored(selection)) == keys(
            shop, stored(catalog.select_rows("orders", CHOSEN["a join"]()))
        )
        with pytest.raises(InvalidOption, match="of the database 'copy'"):
            catalog.select_rows("orders", O.using("copy"))
    with routed_by(Elsewhere()), pytest.raises(InvalidOption, match="of the database 'copy'"):
        catalog.select_rows("orders", O.all())


@contextmanager
def routed_by(each: Any) -> Iterator[None]:
    with override_settings(DATABASE_ROUTERS=[each]):
        # Which there are is decided once.
        router.__dict__.pop("routers", None)
        router._routers = None
        try:
            yield
        finally:
            router.__dict__.pop("routers", None)
            router._routers = []


def test_times_without_a_zone_are_of_the_projects_zone_as_they_are_for_django(shop: str) -> None:
    noon = dt.datetime(2026, 1, 2, 12)  # noqa: DTZ001
    chosen: list[Callable[[], Any]] = [
        lambda: O.filter(created_at__gte=noon),
        lambda: O.filter(created_at__range=(noon, noon + dt.timedelta(hours=3))),
        lambda: O.filter(created_at__in=[noon, noon + dt.timedelta(hours=1)]),
        lambda: O.exclude(created_at__lt=noon).filter(customer__orders__created_at__gt=noon),
        lambda: O.alias(last=Max("created_at")).filter(last__gt=noon),
    ]
    apart: list[Callable[[], Any]] = [
        lambda: O.filter(created_at__date=noon.date()),
        lambda: O.filter(created_at__year=2026),
        lambda: O.filter(created_at__contains="12:00"),
        lambda: O.alias(day=TruncDay("created_at")).filter(day=noon),
        lambda: O.filter(created_at__lt=F("customer__orders__created_at") - dt.timedelta(days=1)),
        lambda: O.filter(total=ExtractHour(Now())),
    ]
    # An hour that is left out, one that comes twice, and one of before there were zones.
    odd = [(2026, 3, 8, 2, 30), (2026, 11, 1, 1, 30), (1850, 1, 1, 0, 0)]
    with override_settings(USE_TZ=False, TIME_ZONE="America/Chicago"):
        company = Company.objects.order_by("pk")[0]
        theirs = set(O.filter(customer__company=company).values_list("pk", flat=True))
        for queryset in chosen:
            request = stored(catalog.select_rows("orders", queryset()))
            shown = set(queryset().values_list("pk", flat=True)) & theirs
            assert shown < theirs
            assert keys(shop, request, str(company.pk)) == shown, request.selection
        for queryset in apart:
            with pytest.raises(InvalidOption, match="USE_TZ"):
                catalog.select_rows("orders", queryset())
        for each in odd:
            moment = dt.datetime(*each)  # noqa: DTZ001
            selection = catalog.select_rows("orders", O.filter(created_at=moment))
            assert selection is not None
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT %s::timestamptz = %s::timestamptz, %s::timestamp = %s",
                    [moment.isoformat(), *[selection.values[0]] * 2, moment],
                )
                assert cursor.fetchone() == (True, True)
        (kind,) = Catalog.from_django(Order, tenant="customer__company").values()
        # Whatever Django says of zones, the column is a timestamptz.
        assert {each.type for each in kind.filters if each.name == "created_at"} == {"timestamptz"}
    with override_settings(USE_TZ=False, TIME_ZONE="UTC"):
        for queryset in (*chosen, *apart[:4]):
            request = stored(catalog.select_rows("orders", queryset()))
            shown = set(queryset().values_list("pk", flat=True)) & theirs
            assert keys(shop, request, str(company.pk)) == shown, request.selection


def test_values_are_apart_from_the_text_and_bounded(shop: str) -> None:
    email = "ann'; DROP TABLE shop_order; --@example.org"
    selection = catalog.select_rows("orders", O.filter(customer__email=email, pk=7))
    assert selection is not None
    assert email not in "".join(selection.text)
    assert set(selection.values) == {email, 7}
    assert keys(shop, stored(selection)) == set()
    assert O.count() == 2 * ORDERS


def test_personal_columns_that_decide_need_their_scope(shop: str) -> None:
    def needs(name: str, queryset: Any) -> set[str]:
        request = ExportRequest(name, selection=catalog.select_rows(name, queryset))
        return {need.scope for need in request.needs(catalog.get_type(name), ())}

    assert needs("orders", O.filter(status="paid", customer__country="DE", customer=3)) == set()
    assert needs("orders", O.filter(customer__company__membership__user=1)) == set()
    theirs = Customer.objects.filter(pk=OuterRef("customer"))
    assert needs("orders", O.filter(Exists(theirs.values("email")))) == set()
    assert needs("orders", O.alias(nobody_asks=Lower("customer__email"))) == set()
    for queryset in (
        O.filter(customer__email__startswith="a"),
        O.filter(note="excluded from the type"),
        O.alias(m=Lower("customer__email")).filter(m="x"),
        O.filter(customer__in=Customer.objects.filter(name="x")),
        O.filter(customer__company__name="of no type"),
        O.filter(pk__in=O.exclude(customer__name="x").values("pk")),
        O.filter(products__in=Product.objects.filter(order__customer__email="x")),
        # What a query within gives out, and what its few rows are chosen by.
        O.alias(m=Subquery(theirs.values("email"))).filter(m__startswith="a"),
        O.filter(customer__in=Customer.objects.order_by("email")[:3]),
        O.filter(pk__in=O.order_by("customer__email")[:3]),
        O.filter(customer__in=Customer.objects.distinct("email")),
        O.filter(pk__in=O.values("customer__email").annotate(m=Max("pk")).values("m")),
    ):
        assert needs("orders", queryset) == {"exports:pii"}, queryset.query
    assert needs("customers", Customer.objects.filter(country="DE")) == set()
    assert needs("customers", Customer.objects.filter(name="x")) == {"exports:pii"}


def test_nothing_of_the_sources_schemas_stands_in(shop: str) -> None:
    raises = "LANGUAGE plpgsql AS $$ BEGIN RAISE 'planted'; END $$"
    with psycopg.connect(shop, autocommit=True) as connection:
        for statement in (
            f"CREATE FUNCTION public.upper(varchar) RETURNS text {raises}",
            f"CREATE FUNCTION public.same(varchar, varchar) RETURNS bool {raises}",
            "CREATE OPERATOR public.= (LEFTARG = varchar, RIGHTARG = varchar, "
            "FUNCTION = public.same)",
            f"CREATE FUNCTION public.same(bigint, bigint) RETURNS bool {raises}",
            "CREATE OPERATOR public.= (LEFTARG = bigint, RIGHTARG = bigint, "
            "FUNCTION = public.same)",
        ):
            connection.execute(statement.encode())
    queryset = O.filter(customer__name__iexact="customer 3", status=F("status"))
    request = stored(catalog.select_rows("orders", queryset))
    assert len(keys(shop, request)) == ORDERS / 10


def test_what_the_query_reads_is_locked_before_the_snapshot(shop: str) -> None:
    request = stored(catalog.select_rows("orders", O.filter(products__name="Chair")))
    with psycopg.connect(shop, autocommit=True) as other:
        names = ("shop_order", "shop_order_products", "shop_product", "shop_customer")
        oids = {
            other.execute("SELECT %s::regclass::oid::text", (name,)).fetchone()[0]  # type: ignore[index]
            for name in names
        }
        kind = catalog.get_type("orders")
        with open_plan(
            PostgresSource(shop), request, kind, Requester("1", "ann"), lambda: None,
            application_name="test", statement_timeout_seconds=30,
        ) as (snapshot, _):  # fmt: skip
            assert oids <= snapshot._witness.locked


def test_column_of_another_type_than_postgresqls_own_is_refused(shop: str) -> None:
    class CitextField(models.TextField):  # type: ignore[misc]
        def db_type(self, connection: Any) -> str:
            return "citext"

    class Person(models.Model):  # type: ignore[misc]
        email = CitextField()

        class Meta:
            app_label = "odd"

    people = Catalog.from_django(Person)
    assert people["odd_person"].filters[1:] == ()
    with pytest.raises(InvalidOption, match="search_path of 'odd_person'"):
        people.select_rows("odd_person", Person.objects.filter(email="Ann"))
    told = Catalog.from_django(Export(Person, options={"search_path": ("extensions",)}))
    assert told.select_rows("odd_person", Person.objects.filter(email="Ann")) is not None


def test_column_that_the_source_compares_otherwise_is_refused_when_it_is_read(shop: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA extensions")
        cursor.execute("CREATE EXTENSION citext SCHEMA extensions")
        cursor.execute("ALTER TABLE shop_order ALTER status TYPE extensions.citext")
    request = stored(catalog.select_rows("orders", O.filter(status="PAID")))
    with pytest.raises(SourceRejected, match="search_path: 'extensions'"):
        keys(shop, request)
    searched = Catalog([replace(catalog["orders"], search_path=("extensions",))])
    assert len(keys(shop, request, types=searched)) == ORDERS / 3


def test_models_are_read_as_they_are() -> None:
    customers, orders = catalog["customers"], catalog["orders"]
    assert (customers.source.schema, customers.source.table) == ("public", "shop_customer")  # type: ignore[union-attr]
    assert customers.key == ("id",)
    assert [(c.name, c.label, c.pii) for c in customers.columns] == [
        ("id", "ID", ""), ("company_id", "Company", ""), ("name", "Name", "exports:pii"),
        ("email", "E-mail address", "exports:pii"), ("country", "Country", ""),
    ]  # fmt: skip
    assert customers.requires == ("shop.view_customer",)
    assert orders.requires == ("shop.export_order",)
    assert "note" not in {column.name for column in orders.columns}
    status = next(each for each in orders.filters if each.name == "status")
    assert status.values == ("open", "paid", "sent")
    types = {each.name: each.type for each in orders.filters}
    assert types == {"id": "integer", "customer_id": "integer", "status": "text",
                     "total": "number", "created_at": "timestamptz"}  # fmt: skip
    assert orders.scope is not None
    assert orders.scope.needs_tenant
    users = Catalog.from_django(User)["auth_user"]
    assert "password" not in {column.name for column in users.columns}


def test_models_that_do_not_fit_are_told_at_start() -> None:
    class Parent(models.Model):  # type: ignore[misc]
        class Meta:
            app_label = "odd"

    class Child(Parent):
        class Meta:
            app_label = "odd"

    class Abstract(models.Model):  # type: ignore[misc]
        class Meta:
            abstract = True
            app_label = "odd"

    for wrong, says in (
        ((Child,), "columns in the tables of odd.Parent"),
        ((Abstract,), "no model of Django"),
        (("shop.Order",), "no model of Django"),
        ((Export(Order, exclude=("nte",)),), "'nte', which exclude names"),
        ((Export(Order, pii={"mail": True}),), "'mail', which pii names"),
        ((Order, Order), "declared twice|names"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            Catalog.from_django(*wrong)
    for path in ("tenant", "customer__tenant", "products__name", "status__x", "customer"):
        if path == "customer":
            assert Catalog.from_django(Order, tenant=path)
            continue
        with pytest.raises(ConfigurationError, match="says whose a row is"):
            Catalog.from_django(Order, tenant=path)


def test_renamed_tenant_column_gives_out_nothing(shop: str) -> None:
    # Within the subquery of the scope the name would else be found outside of it.
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shop_customer RENAME company_id TO firm_id")
        cursor.execute("ALTER TABLE shop_order ADD company_id bigint DEFAULT 1")
    with pytest.raises(SourceRejected):
        keys(shop, stored(None))
