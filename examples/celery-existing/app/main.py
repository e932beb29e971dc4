"""The application's API."""

from __future__ import annotations

from fastapi import Depends, FastAPI, Header, HTTPException

import waybill  # + waybill
from app.worker import app as celery  # + waybill

app = FastAPI()


def current_user(x_user: str = Header("")) -> str:
    """Whoever the gateway in front says it is."""
    if not x_user:
        raise HTTPException(401)
    return x_user


def exporter(user: str = Depends(current_user)) -> waybill.Principal:  # + waybill
    return waybill.Principal(user)  # + waybill


app.include_router(waybill.router(principal=Depends(exporter), celery=celery))  # + waybill
