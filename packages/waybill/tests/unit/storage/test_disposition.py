from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.storage.disposition import content_disposition, safe_file_name


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("users.csv", "attachment; filename=\"users.csv\"; filename*=UTF-8''users.csv"),
        ("Grüße.csv", "attachment; filename=\"Grue.csv\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.csv"),
        ("東京", "attachment; filename=\"export\"; filename*=UTF-8''%E6%9D%B1%E4%BA%AC"),
        ("50%.csv", "attachment; filename=\"50_.csv\"; filename*=UTF-8''50%25.csv"),
        ("../etc/passwd", "attachment; filename=\"_etc_passwd\"; filename*=UTF-8''_etc_passwd"),
        ("", "attachment; filename=\"export\"; filename*=UTF-8''export"),
    ],
)  # fmt: skip
def test_name_appears_in_both_forms(name: str, header: str) -> None:
    assert content_disposition(name) == header


@given(st.text(max_size=400))
def test_no_name_breaks_out_of_the_header(name: str) -> None:
    header = content_disposition(name)

    match = re.fullmatch(r"""attachment; filename="([ -~]+)"; filename\*=UTF-8''([!-~]+)""", header)
    assert match is not None
    assert '"' not in match[1]
    assert "\\" not in match[1]
    decoded = unquote(match[2], errors="strict")
    assert len(decoded) <= 150
    assert not set(decoded) & set('/\\:*?"<>|\r\n\0')


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("NUL.csv", "_NUL.csv"),
        ("con", "_con"),
        ("Com1 .tar.gz", "_Com1 .tar.gz"),
        ("lpt².csv", "_lpt².csv"),
        ("CONOUT$", "_CONOUT$"),
        ("console.csv", "console.csv"),
        ("com.csv", "com.csv"),
        ("report. . ", "report"),
        ("..", "export"),
        (" .hidden", "hidden"),
        ("\ud800", "_"),
        ("a\x00b/c\\d:e", "a_b_c_d_e"),
        ("in\u202evoice\u2069.csv", "in_voice_.csv"),
        ("a\u200bb\ufeff\u2028c.csv", "a_b_c.csv"),
        ("می\u200cخواهم.csv", "می\u200cخواهم.csv"),
        ("x" * 200, "x" * 150),
        ("é" * 149 + ".csv", "é" * 118 + ".csv"),
        ("x" * 148 + " ." + "y" * 40, "x" * 148),
    ],
)  # fmt: skip
def test_name_is_one_that_every_file_system_takes(name: str, safe: str) -> None:
    assert safe_file_name(name) == safe


@given(st.text(st.characters(), max_size=300))
def test_safe_name_stays_as_it_is(name: str) -> None:
    safe = safe_file_name(name)

    assert safe_file_name(safe) == safe
    assert safe == safe.strip(" .")
    assert 0 < len(safe.encode()) <= 240


def test_long_name_keeps_its_extension() -> None:
    assert content_disposition("x" * 300 + ".csv").endswith("x.csv")
