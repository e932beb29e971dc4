from __future__ import annotations

import email
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.notify.email.address import parse_address
from waybill.notify.email.mail import compose
from waybill.notify.events import EventType

PAGE = "https://exports.example.com/exports/6f1f?a=1&b=2"
SENDER = Address("Exports", addr_spec="exports@example.com")


def _payload(**changes: Any) -> dict[str, Any]:
    data = {
        "id": "6f1f",
        "export_type": "users",
        "format": "csv",
        "rows": 100_000,
        "bytes": 12_345_678,
        "expires_at": "2026-12-01T09:05:00.000Z",
        "error_code": "source_unavailable",
        "links": {"page": PAGE},
    }
    return {"data": data | changes}


def _sent(event: EventType, **changes: Any) -> EmailMessage:
    message = compose(
        event,
        _payload(**changes),
        sender=SENDER,
        recipient="ada@example.org",
        message_id="evt_1",
        sent_at=datetime(2026, 11, 24, 12, tzinfo=UTC),
    )
    parsed = email.message_from_bytes(message.as_bytes(), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    content = part.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


class _Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("event", EventType)
def test_mail_without_a_page_says_how_to_get_the_file_and_links_nowhere(event: EventType) -> None:
    message = _sent(event, links={"self": "https://exports.example.com/api/exports/6f1f"})
    text, page = _part(message, "plain"), _Page(_part(message, "html"))
    assert [tag for tag, _ in page.tags if tag == "a"] == []
    assert "http" not in text
    assert "sign in" not in text
    has_file = event in {EventType.COMPLETED, EventType.EXPIRING}
    assert f"waybill {'download' if has_file else 'status'} 6f1f" in text
    assert "There is no page to open in a browser." in page.text
    for line in text.replace(":\n", "\n").replace(": ", "\n").splitlines():
        assert line in page.text


@pytest.mark.parametrize("event", EventType)
def test_every_mail_says_the_same_in_text_and_html(event: EventType) -> None:
    message = _sent(event)
    assert message.get_content_type() == "multipart/alternative"
    text, page = _part(message, "plain"), _Page(_part(message, "html"))
    assert PAGE in text
    assert [a["href"] for tag, a in page.tags if tag == "a"] == [PAGE]
    for line in text.replace(":\n", "\n").replace(": ", "\n").splitlines():
        assert line in page.text or line == PAGE


@pytest.mark.parametrize("event", EventType)
def test_html_is_plain_and_readable_by_a_screen_reader(event: EventType) -> None:
    page = _Page(_part(_sent(event), "html"))
    tags = [tag for tag, _ in page.tags]
    assert dict(page.tags)["html"] == {"lang": "en"}
    assert tags.count("h1") == tags.count("title") == 1
    assert all(attributes.get("scope") == "row" for tag, attributes in page.tags if tag == "th")
    assert not {"img", "script", "link", "style", "iframe", "form"} & set(tags)


def test_headers_mark_an_automatic_mail_with_a_stable_id() -> None:
    message = _sent(EventType.COMPLETED)
    assert message["Message-ID"] == "<evt_1@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["To"] == "ada@example.org"
    assert message["From"] == "Exports <exports@example.com>"
    assert message["Subject"] == "Your export of users is ready"
    assert message["Date"].datetime == datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_completed_mail_has_the_figures() -> None:
    text = _part(_sent(EventType.COMPLETED), "plain")
    assert "Rows: 100,000" in text
    assert "Size: 12.3 MB" in text
    assert "Available until: 1 December 2026, 09:05 UTC" in text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (99_950, "100 kB"),
        (999_600, "1.0 MB"),
    ],
)
def test_size_has_three_digits_at_most(size_bytes: int, text: str) -> None:
    assert f"Size: {text}\n" in _part(_sent(EventType.COMPLETED, bytes=size_bytes), "plain")


@pytest.mark.parametrize("event", EventType)
@pytest.mark.parametrize(
    "name",
    ["users\r\nBcc: eve@example.net", "users\nX: 1", "users\x00", "\u2028Bcc: eve@example.net"],
)
def test_strange_name_adds_no_header(event: EventType, name: str) -> None:
    message = _sent(event, export_type=name)
    assert message["Bcc"] is None
    assert set(message.keys()) == set(_sent(event).keys())
    assert "\n" not in message["Subject"]


def test_markup_in_a_name_is_text() -> None:
    html = _part(_sent(EventType.COMPLETED, export_type="<script>alert(1)</script>"), "html")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_name_in_any_script_is_sent() -> None:
    assert _sent(EventType.COMPLETED, export_type="顧客")["Subject"] == (
        "Your export of 顧客 is ready"
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ada@example.org", "ada@example.org"),
        ("ada.b+c@mail.example.org", "ada.b+c@mail.example.org"),
        ("o'brien@example.org", "o'brien@example.org"),
        ("ada@localhost", "ada@localhost"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
    ],
)
def test_address_is_read(text: str, address: str) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@@example.org",
        "ada@example.org\r\nBcc: eve@example.net",
        "ada@example.org\n",
        "ada\r\n@example.org",
        "ada@example.org,eve@example.net",
        "Ada <ada@example.org>",
        "<ada@example.org>",
        "ada@example.org> SIZE=1",
        "ada b@example.org",
        ".ada@example.org",
        "ada..b@example.org",
        '"ada b"@example.org',
        "ada@[127.0.0.1]",
        "ada@-example.org",
        "ada@example..org",
        "ädä@example.org",
        "a" * 65 + "@example.org",
        "ada@" + "a" * 64 + ".org",
        "ada@" + "a." * 130 + "org",
        "ada\x00@example.org",
    ],
)
def test_other_text_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="not an e-mail address"):
        parse_address(text)


@given(st.one_of(st.text(), st.emails()))
def test_an_accepted_address_fits_one_header_and_one_command(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert address.isascii()
    assert address.isprintable()
    assert not set(' <>,;:"\\()[]') & set(address)
    assert Address(addr_spec=address).addr_spec == address
