"""A small shop as there are many: people sign in, and have orders. What waybill needs is marked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException
from sqlalchemy import ForeignKey, String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import waybill  # + waybill

engine = create_engine(os.environ["DATABASE_URL"])


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    shop: Mapped[str] = mapped_column(String(40))
    token: Mapped[str] = mapped_column(String(40), unique=True)


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    shop: Mapped[str] = mapped_column(String(40))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    cents: Mapped[int]


def session() -> Iterator[Session]:
    with Session(engine) as opened:
        yield opened


def current_user(
    database: Annotated[Session, Depends(session)], x_token: Annotated[str, Header()] = ""
) -> User:
    user = database.scalar(select(User).where(User.token == x_token))
    if user is None:
        raise HTTPException(401, "Sign in first.")
    return user


app = FastAPI(title="Shop")


@app.get("/orders")
def orders(
    user: Annotated[User, Depends(current_user)], database: Annotated[Session, Depends(session)]
) -> list[dict[str, int]]:
    found = database.scalars(select(Order).where(Order.user_id == user.id))
    return [{"id": order.id, "cents": order.cents} for order in found]


def exporter(user: Annotated[User, Depends(current_user)]) -> waybill.Principal:  # + waybill
    return waybill.Principal(str(user.id), tenant=user.shop)  # + waybill


app.include_router(waybill.router(principal=Depends(exporter)), prefix="/data")  # + waybill
