"""Expressions for which an application writes SQL itself: what names nothing but its parts is kept;
what may read more is refused, since nobody could say which rights it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from waybill.errors import InvalidOption

from .conftest import ORDERS  # noqa: F401 - sets Django up before its models are imported

# isort: split
from django.db.models import CharField, F, Func, IntegerField, Lookup, Q, Transform, Value
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Lower
from shop.exports import catalog
from shop.models import Customer, Order
from sqlalchemy import Text, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from .test_querysets import keys, stored
from .test_sqlalchemy import Customer as Person
from .test_sqlalchemy import Order as Purchase
from .test_sqlalchemy import catalog as mapped

O = Order.objects  # noqa: E741


class NotEqual(Lookup):  # type: ignore[misc]
    """As Django's documentation has it."""

    lookup_name = "ne"

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        left, left_values = self.process_lhs(compiler, connection)
        right, right_values = self.process_rhs(compiler, connection)
        return f"{left} <> {right}", [*left_values, *right_values]


class Peeking(NotEqual):
    lookup_name = "peeks"

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        text, values = super().as_sql(compiler, connection)
        return f"({text} AND shop_customer.email LIKE 'a%%')", values


class Squeezed(Transform):  # type: ignore[misc]
    lookup_name = "squeezed"
    template = "replace(%(expressions)s, ' ', '')"


class Joined(CombinedExpression):  # type: ignore[misc]
    """Of an operator of its own."""


def made(template: str, of: str = "pk", **extra: Any) -> Any:
    output = extra.pop("output", IntegerField())
    return O.alias(x=Func(F(of), template=template, output_field=output, **extra)).filter(x=1)


KEPT: dict[str, Callable[[], Any]] = {
    "a lookup": lambda: O.filter(Q(NotEqual(F("status"), Value("paid")))),
    "a transform": lambda: O.alias(x=Squeezed("status")).filter(x="paid"),
    "a template": lambda: made("(%(expressions)s / 7)"),
    "a template with a cast": lambda: made("CAST(%(expressions)s AS integer)::int"),
    "a function by name": lambda: O.alias(
        x=Func(F("pk"), Value(7), function="mod", output_field=IntegerField())).filter(x=1),
    "an operator": lambda: O.alias(
        x=Joined(F("pk"), "/", Value(7), output_field=IntegerField())).filter(x=1),
    "over a join": lambda: O.alias(
        x=Func(Lower("customer__name"), function="reverse", output_field=CharField())
    ).filter(x__contains="remots"),
}  # fmt: skip
REFUSED: dict[str, Callable[[], Any]] = {
    "a column by name": lambda: made("length(note) + %(expressions)s"),
    "a quoted column": lambda: made('length("shop_order"."note") + %(expressions)s'),
    "a column of a join": lambda: made("length(email) + %(expressions)s", "customer__id"),
    "a whole row": lambda: made("length(to_json(shop_order)::text) + %(expressions)s"),
    "another query": lambda: made("(SELECT count(*) FROM public.shop_customer) + %(expressions)s"),
    "a table": lambda: made("(%(expressions)s + (TABLE public.shop_customer))"),
    "what ends it early": lambda: made("%(expressions)s = 1) OR (1"),
    "a comment": lambda: made("%(expressions)s -- "),
    "a function that is more": lambda: O.alias(
        x=Func(F("pk"), function="length(note) + abs", output_field=IntegerField())).filter(x=1),
    "an operator that is more": lambda: O.alias(
        x=Joined(F("pk"), "+ length(note) +", Value(7), output_field=IntegerField())).filter(x=1),
    "an operator of Django's": lambda: O.alias(x=CombinedExpression(
        F("pk"), "+ length(note) +", Value(7), output_field=IntegerField())).filter(x=1),
    "a lookup that peeks": lambda: O.filter(
        Q(Peeking(F("customer__country"), Value("DE")))),
    "in a query within": lambda: O.filter(customer__in=Customer.objects.alias(
        x=Func(F("pk"), template="length(email) + %(expressions)s",
               output_field=IntegerField())).filter(x=1)),
}  # fmt: skip


@pytest.mark.parametrize("what", KEPT)
def test_what_names_nothing_but_its_parts_gives_the_rows_that_django_shows(
    shop: str, what: str
) -> None:
    query = KEPT[what]()
    shown = set(query.filter(customer__company=1).values_list("pk", flat=True))
    assert keys(shop, stored(catalog.select_rows("orders", query))) == shown


@pytest.mark.parametrize("what", REFUSED)
def test_what_may_read_more_is_refused_with_its_remedy(shop: str, what: str) -> None:
    with pytest.raises(InvalidOption, match="give it all columns as expressions"):
        catalog.select_rows("orders", REFUSED[what]())


class squeezed(GenericFunction[Any]):  # noqa: N801 - it is called as a function
    type = Text()
    inherit_cache = True


@compiles(squeezed)
def _squeezed(element: Any, compiler: Any, **options: Any) -> str:
    return f"replace({compiler.process(element.clauses, **options)}, ' ', '')"


class writing(GenericFunction[Any]):  # noqa: N801
    """Writes a text besides what it was given."""

    type = Text()
    inherit_cache = False

    def __init__(self, value: Any, text: str) -> None:
        super().__init__(value)
        self.text = text


@compiles(writing)
def _writing(element: Any, compiler: Any, **options: Any) -> str:
    return f"concat({element.text}, {compiler.process(element.clauses, **options)})"


def test_constructs_and_operators_of_sqlalchemy_are_looked_at_too() -> None:
    name = Person.name
    of_people = select(Purchase).join(Purchase.customer)
    for kept in (func.squeezed(name) == "ann", name.op("~*")("a"), name.op("AT TIME ZONE")("b")):
        assert mapped.select_rows("orders", of_people.where(kept)) is not None
    for more in (
        writing(name, "shop_customer.email") == "ann",
        writing(name, "shop_customer") == "ann",
        name.op("= email OR name =")("a"),
        name.op("IN (SELECT email FROM public.shop_customer) OR 'a' =")("a"),
    ):
        with pytest.raises(InvalidOption, match="give it all columns as expressions"):
            mapped.select_rows("orders", of_people.where(more))
