from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waybill.errors import IncompleteExport
from waybill.formats.arrow_text import day_microseconds, days, microseconds, read_text
from waybill.formats.arrow_types import TEXT

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@settings(deadline=None)  # no test of speed
@given(st.datetimes())
def test_dates_and_times_are_those_of_the_calendar(at: dt.datetime) -> None:
    day = at.date().isoformat()
    time = at.time().isoformat()

    assert days(day) == (at.date() - EPOCH.date()).days
    elapsed = at.replace(tzinfo=dt.UTC) - EPOCH
    assert microseconds(f"{day} {time}+00") == elapsed // dt.timedelta(microseconds=1)
    assert microseconds(f"{day}T{time}") == elapsed // dt.timedelta(microseconds=1)


def test_years_before_christ_follow_each_other() -> None:
    assert days("0001-01-01") - days("0001-12-31 BC") == 1
    assert days("0001-12-31 BC") - days("0001-01-01 BC") == 365  # year 0 is a leap year
    assert days("10000-01-01") - days("9999-12-31") == 1


@pytest.mark.parametrize("text", ["infinity", "-infinity", "", "2024-1-1", "2024-01-01 BCE"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        days(text)
    with pytest.raises(ValueError, match="not a"):
        microseconds(text)


def test_end_of_the_day_is_a_time() -> None:
    assert day_microseconds("24:00:00") == 86_400_000_000


@pytest.mark.parametrize("rows", [1, 3])
def test_other_number_of_records_is_noticed(rows: int) -> None:
    with pytest.raises(IncompleteExport, match="2 rows were read"):
        read_text(b"a\nb\n", [TEXT], rows)


def test_null_is_the_unquoted_empty_field_alone() -> None:
    fields = read_text(b'a,\n"",x\n', [TEXT, TEXT], 2, delimiter=",", quote='"')

    assert [field.to_pylist() for field in fields] == [["a", ""], [None, "x"]]
    assert read_text(b'\n""\n', [TEXT], 2, delimiter=",", quote='"')[0].to_pylist() == [None, ""]
