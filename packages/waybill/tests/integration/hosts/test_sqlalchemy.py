"""A ``select()`` chooses the rows that SQLAlchemy itself would give, among the caller's alone."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    DateTime,
    Enum,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    any_,
    case,
    cast,
    column,
    create_engine,
    exists,
    func,
    literal,
    literal_column,
    select,
    table,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, CITEXT, JSONB, distinct_on
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    column_property,
    defer,
    load_only,
    mapped_column,
    relationship,
    selectinload,
    with_loader_criteria,
)

from waybill.catalog import Catalog, Computed, Export
from waybill.errors import ConfigurationError, InvalidOption
from waybill.requests.request import ExportRequest

from .conftest import ORDERS
from .test_querysets import keys, stored


class Base(DeclarativeBase):
    pass


class Status(enum.Enum):
    """Stored by name, as SQLAlchemy does."""

    open = "Open"
    paid = "Paid"
    sent = "Sent"


class Customer(Base):
    __tablename__ = "shop_customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    company_id: Mapped[int]
    name: Mapped[str] = mapped_column(info={"label": "Who"})
    email: Mapped[str] = mapped_column(info={"pii": True})
    country: Mapped[str]


class Order(Base):
    __tablename__ = "shop_order"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey(Customer.id))
    status: Mapped[Status] = mapped_column(Enum(Status, native_enum=False))
    total: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    created_at: Mapped[dt.datetime]
    customer: Mapped[Customer] = relationship()


class Sale(Base):
    """Of one table with what is made of it: orders by their status."""

    __tablename__ = "shop_order"
    metadata = MetaData()
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int]
    status: Mapped[str]
    total: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    __mapper_args__ = {"polymorphic_on": "status", "polymorphic_identity": "open"}  # noqa: RUF012

    @hybrid_property
    def is_large(self) -> Any:
        return self.total > 5


Sale.gross = column_property(Sale.__table__.c.total * 2)  # type: ignore[attr-defined]


class PaidSale(Sale):
    __mapper_args__ = {"polymorphic_identity": "paid"}  # noqa: RUF012


class Nickname(Base):
    __tablename__ = "nickname"
    name: Mapped[str] = mapped_column(CITEXT, primary_key=True)


class Shipment(Base):
    __tablename__ = "shipment"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))


NOON = dt.datetime(2026, 1, 2, 12)  # noqa: DTZ001
TABLE: Table = Order.__table__  # type: ignore[assignment]
catalog = Catalog.from_sqlalchemy(
    Export(Customer, name="customers", tenant="company_id"),
    Export(Order, name="orders", tenant="customer__company_id"),
    pii={"shop_customer.name": "names:read"},
)
other = aliased(Order)
CHOSEN: dict[str, Callable[[], Any]] = {
    "everything": lambda: select(Order),
    "everything of a table": lambda: select(TABLE).order_by(TABLE.c.total),
    "an enum": lambda: select(Order).where(Order.status == Status.paid),
    "enums": lambda: select(Order).where(Order.status.in_([Status.paid, Status.open])),
    "no enums": lambda: select(Order).where(Order.status.in_([])),
    "a core table": lambda: select(TABLE).where(TABLE.c.id.between(3, 70)),
    "a join": lambda: select(Order).join(Order.customer).where(Customer.country == "DE"),
    "a left join": lambda: select(Order).outerjoin(Customer).where(Customer.name.like("%r 3")),
    "a condition of a join": lambda: select(Order).join(
        Customer, (Customer.id == Order.customer_id) & (Customer.country != "FR")),
    "has": lambda: select(Order).where(Order.customer.has(Customer.name.ilike("CUST%4"))),
    "exists": lambda: select(Order).where(
        exists().where(Customer.id == Order.customer_id, Customer.country == "US")),
    "a subquery": lambda: select(Order).where(
        Order.total > select(func.avg(other.total)).scalar_subquery()),
    "numbers": lambda: select(Order).where(Order.total >= Decimal("3.25"), Order.id > -5),
    "a moment": lambda: select(Order).where(Order.created_at > dt.datetime(2026, 1, 2)),  # noqa: DTZ001
    "a case": lambda: select(Order).where(case((Order.id > 5, "a'b%s"), else_="%") == "a'b%s"),
    "distinct": lambda: select(Order).distinct().where(Order.id < 9),
    "a subquery that is joined": lambda: select(Order).join(
        few := select(Customer).where(Customer.country == "DE").subquery(),
        few.c.id == Order.customer_id).where(few.c.name != "Customer 0"),
    "a CTE": lambda: select(Order).join(
        few := select(Customer.id).where(Customer.country == "DE").cte("few"),
        few.c.id == Order.customer_id),
    "a window": lambda: select(Order).join(
        n := select(Order.id, func.row_number().over(
            partition_by=Order.customer_id, order_by=Order.total).label("n")).subquery(),
        n.c.id == Order.id).where(n.c.n == 1),
    "an array": lambda: select(Order).where(
        Order.id == any_(literal([1, 2, 7, 300], ARRAY(Integer)))),
    "JSON": lambda: select(Order).where(
        literal({"paid": "it's"}, JSONB)[cast(Order.status, String)].astext == "it's"),
    "filter_by": lambda: select(Order).filter_by(id=7),
}  # fmt: skip
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a limit": (lambda: select(Order).limit(5), "sliced"),
    "an offset": (lambda: select(Order).offset(5), "sliced"),
    "a union": (lambda: select(Order).union(select(Order)), "combines queries"),
    "text": (lambda: text("SELECT 1"), "SQL as text"),
    "text in a condition": (lambda: select(Order).where(text("1 = 1")), "SQL as text"),
    "a bare column": (lambda: select(Order).where(column("id") == 1), "SQL as text"),
    "a bare table": (lambda: select(Order).where(
        Order.id.in_(select(table("shop_customer", column("id"))))), "SQL as text"),
    "a lock within": (lambda: select(Order).where(
        Order.id.in_(select(other.id).with_for_update())), "locks rows"),
    "a literal column": (lambda: select(Order).where(literal_column("now()") == 1), "SQL as text"),
    "a computed column": (lambda: select(Order, func.now()), "computes columns"),
    "two models": (lambda: select(Order, Customer), "computes columns"),
    "one column": (lambda: select(Order.id), "leaves columns out"),
    "load_only": (lambda: select(Order).options(load_only(Order.id)), "leaves columns out"),
    "defer": (lambda: select(Order).options(defer(Order.total)), "leaves columns out"),
    "distinct on": (lambda: select(Order).ext(distinct_on(Order.status)), "SQL as text"),
    "old distinct on": (lambda: select(Order).distinct(Order.status), "distinct by some fields"),
    "groups": (lambda: select(Order).group_by(Order.id), "are groups"),
    "a lock": (lambda: select(Order).with_for_update(), "locks rows"),
    "another model": (lambda: select(Customer), "no query of the model"),
    "an alias": (lambda: select(other), "no query of the model"),
    "criteria of a loader": (lambda: select(Order).options(
        with_loader_criteria(Order, Order.id > 3)), "LoaderCriteriaOption"),
    "a callable": (lambda: select(Order).where(
        Order.id == func.coalesce(bind(), 1)), "computed later"),
    "many keys": (lambda: select(Order).where(Order.id.in_(range(10_001))), "at most 10,000"),
}  # fmt: skip


def bind() -> Any:
    from sqlalchemy import bindparam

    return bindparam("x", callable_=lambda: 1, type_=Integer)


def test_rows_are_those_that_sqlalchemy_gives_and_the_caller_may_have(shop: str) -> None:
    engine = create_engine(shop.replace("://", "+psycopg://", 1))
    with Session(engine) as session:
        theirs = set(session.scalars(
            select(Order.id).join(Order.customer).where(Customer.company_id == 1)
        ))  # fmt: skip
        for what, statement in CHOSEN.items():
            request = stored(catalog.select_rows("orders", statement()))
            shown = {row.id for row in session.execute(statement().with_only_columns(
                Order.id, maintain_column_froms=True))}  # fmt: skip
            assert keys(shop, request, "1", catalog) == shown & theirs, (what, request.selection)
    engine.dispose()


@pytest.mark.filterwarnings("ignore:Passing expression to")
def test_what_cannot_be_kept_exactly_is_refused_with_its_remedy() -> None:
    said = {}
    for what, (statement, _) in REFUSED.items():
        try:
            said[what] = f"kept: {catalog.select_rows('orders', statement())}"
        except InvalidOption as exc:
            said[what] = str(exc)
    assert {what: said[what] for what, (_, says) in REFUSED.items() if says not in said[what]} == {}
    nicknames = Catalog.from_sqlalchemy(Nickname)
    with pytest.raises(InvalidOption, match="compares as its extension"):
        nicknames.select_rows("nickname", select(Nickname).where(Nickname.name == "Ann"))
    shipments = Catalog.from_sqlalchemy(Shipment)
    for local in (Shipment.at > NOON, Shipment.at.in_([NOON]), Shipment.at.between(NOON, NOON)):
        with pytest.raises(InvalidOption, match="give the time its tzinfo"):
            shipments.select_rows("shipment", select(Shipment).where(local))
    zoned = select(Shipment).where(Shipment.at.in_([NOON.replace(tzinfo=dt.UTC)]))
    assert shipments.select_rows("shipment", zoned) is not None
    loading = select(Order).options(selectinload(Order.customer)).where(Order.id == 1)
    assert catalog.select_rows("orders", loading) is not None


def test_personal_columns_that_decide_need_their_scope() -> None:
    def needs(statement: Any) -> set[str]:
        request = ExportRequest("orders", selection=catalog.select_rows("orders", statement))
        return {need.scope for need in request.needs(catalog.get_type("orders"))}

    joined = select(Order).join(Order.customer)
    assert needs(joined.where(Order.status == Status.paid, Customer.id == 3)) == set()
    assert needs(joined.where(Customer.email == "x")) == {"exports:pii"}
    assert needs(joined.where(Customer.name == "x")) == {"names:read"}
    assert needs(select(Order).where(Order.customer.has(Customer.email == "x"))) == {"exports:pii"}
    on = (Customer.id == Order.customer_id) & (Customer.email > "m")
    assert needs(select(Order).join(Customer, on)) == {"exports:pii"}
    # Where a query within compares, and where its columns are compared.
    chosen = select(Customer.id).where(Customer.email > "m")
    everybody = select(Customer).subquery()
    told = select(Customer.id, func.lower(Customer.email).label("told")).cte()
    for within, condition in (
        (part := chosen.subquery(), part.c.id == Order.customer_id),
        (part := chosen.cte(), part.c.id == Order.customer_id),
        (everybody, everybody.c.email > "m"),
        (aliased(Customer, everybody), everybody.c.email > "m"),
        (told, told.c.told > "m"),
        (chosen.where(Customer.id == Order.customer_id).lateral(), true()),
    ):
        assert needs(select(Order).join(within, condition)) == {"exports:pii"}
    assert needs(select(Order).join(everybody, everybody.c.id == Order.customer_id)) == set()
    whole = exists(select(Customer).where(Customer.id == Order.customer_id))
    assert needs(select(Order).where(whole)) == set()


def test_rows_of_a_class_are_those_of_its_kind_and_what_it_computes_is_left_out(shop: str) -> None:
    types = Catalog.from_sqlalchemy(Export(Sale, name="orders", tenant=""))
    engine = create_engine(shop.replace("://", "+psycopg://", 1))
    with Session(engine) as session:
        for kind, conditions in (
            (PaidSale, ()), (PaidSale, (PaidSale.id < 50,)),
            (Sale, (Sale.is_large, Sale.gross > 12)),  # type: ignore[attr-defined]
        ):  # fmt: skip
            statement = select(kind).where(*conditions)
            shown = set(session.scalars(select(kind.id).where(*conditions)))
            assert 0 < len(shown) < 2 * ORDERS
            assert keys(shop, stored(types.select_rows("orders", statement)), "1", types) == shown
    engine.dispose()
    assert types.select_rows("orders", select(Sale)) is None


def test_models_are_read_as_they_are() -> None:
    customers, orders = catalog["customers"], catalog["orders"]
    assert [(c.name, c.label, c.pii) for c in customers.columns] == [
        ("id", "id", ""), ("company_id", "company_id", ""), ("name", "Who", "names:read"),
        ("email", "email", "exports:pii"), ("country", "country", ""),
    ]  # fmt: skip
    assert (orders.key, orders.requires) == (("id",), ())
    status = next(each for each in orders.filters if each.name == "status")
    assert status.values == ("open", "paid", "sent")
    assert orders.scope is not None
    assert orders.scope.needs_tenant
    schema = Table("t", MetaData(), Column("id", Integer, primary_key=True), schema="sales")
    assert Catalog.from_sqlalchemy(schema)["t"].source.schema == "sales"  # type: ignore[union-attr]


def test_models_that_do_not_fit_are_told_at_start() -> None:
    class Special(Order):
        __mapper_args__ = {"polymorphic_identity": "special"}  # noqa: RUF012

    bare = Table("bare", MetaData(), Column("x", Integer))
    for wrong, says in (
        ((bare,), "no primary key"),
        ((Special,), "inherits from Order"),
        (("Order",), "neither a mapped class"),
        ((Export(Order, labels={"totl": "T"}),), "'totl', which labels names"),
        ((Base,), "neither a mapped class"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            Catalog.from_sqlalchemy(*wrong)
    with pytest.raises(ConfigurationError, match="says whose a row is"):
        Catalog.from_sqlalchemy(Order, tenant="company_id")


def test_computed_columns_stand_behind_the_model_s_and_are_as_personal() -> None:
    def scopes(*reads: str, **said: Any) -> list[tuple[str, str, str]]:
        made = Computed(repr, reads)
        export = Export(Customer, tenant="company_id", computed={"made": made}, **said)
        (kind,) = Catalog.from_sqlalchemy(export, pii={"shop_customer.name": "names:read"}).values()
        column = kind.columns[-1]
        assert column.computed is not None
        assert column.reads == reads
        return [(column.name, column.header, column.pii)]

    assert scopes("country") == [("made", "made", "")]
    assert scopes("country", "email") == [("made", "made", "exports:pii")]
    assert scopes("name", labels={"made": "All"}) == [("made", "All", "names:read")]
    assert scopes("name", exclude=("name",)) == [("made", "made", "names:read")]
    assert scopes("country", exclude=("country",)) == [("made", "made", "exports:pii")]
    assert scopes("name", "email", pii={"made": False}) == [("made", "made", "")]
    assert scopes("name", "email", pii={"made": "both:read"}) == [("made", "made", "both:read")]
    for reads, said in (("name", "email"), "several scopes"), (("nick",), "no column 'nick'"):
        with pytest.raises(ConfigurationError, match=said):
            scopes(*reads)
    with pytest.raises(ConfigurationError, match="'made', which exclude names"):
        scopes("country", exclude=("made",))
