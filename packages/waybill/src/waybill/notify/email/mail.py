"""The mails: what they say, as plain text and as simple HTML that screen readers read well.

Every mail links to the service's own page, which asks for signing in. No mail carries data of
exported users or a link that works by itself: mails are forwarded, archived and scanned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from typing import Any

from waybill.notify.events import EventType

_FETCH = (
    "Download it in the application where you requested it, or with a program that has your token."
)
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class MailContent:
    """One mail before it is text or HTML."""

    subject: str
    paragraphs: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    link: str
    link_text: str
    """What the link is for. It is printed and not clicked where there is no page to open."""
    is_page: bool


def compose(
    event: EventType,
    payload: Mapping[str, Any],
    *,
    sender: Address,
    recipient: str,
    message_id: str,
    sent_at: datetime,
) -> EmailMessage:
    """Return the message.

    Args:
        recipient: from ``waybill.notify.email.address.parse_address``.
        message_id: the left side of the Message-ID; the same for every retry, so that a second
            copy can be told from a second mail.
    """
    content = mail_content(event, payload["data"])
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = sender
    message["To"] = Address(addr_spec=recipient)
    message["Subject"] = content.subject
    message["Date"] = format_datetime(sent_at)
    message["Message-ID"] = f"<{message_id}@{sender.domain}>"
    # RFC 3834, and what Exchange reads instead: nobody's holiday notice answers us.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(_text(content))
    message.add_alternative(_html(content), subtype="html")
    return message


def mail_content(event: EventType, data: Mapping[str, Any]) -> MailContent:
    """Return what the mail about ``event`` says."""
    name = _one_line(data["export_type"])
    facts = [("Export", name), ("Format", _one_line(data["format"])), ("Reference", data["id"])]
    if event in {EventType.COMPLETED, EventType.EXPIRING}:
        expires = _moment(data["expires_at"])
        facts[2:2] = [
            ("Rows", f"{data['rows']:,}"),
            ("Size", _size(data["bytes"])),
            ("Available until", expires),
        ]
    match event:
        case EventType.COMPLETED:
            subject = f"Your export of {name} is ready"
            says = f"The export you requested is ready. You can download it until {expires}."
            link_text = "Open the export to download it"
        case EventType.EXPIRING:
            subject = f"Your export of {name} will be deleted soon"
            says = f"The file will be deleted on {expires}. After that, request a new export."
            link_text = "Open the export to download it"
        case EventType.FAILED:
            subject = f"Your export of {name} failed"
            says = "The export you requested could not be finished. No file was made."
            facts.insert(2, ("Reason", _one_line(str(data.get("error_code") or "unknown"))))
            link_text = "Open the export to see what happened"
        case EventType.CANCELLED:
            subject = f"Your export of {name} was cancelled"
            says = "The export you requested was cancelled. No file was made."
            link_text = "Open the export"
    page = data["links"].get("page")
    if page is not None:
        paragraphs = (says, "You will be asked to sign in; the link alone gives nobody the file.")
        return MailContent(subject, paragraphs, tuple(facts), page, link_text, is_page=True)
    # A link to the API would greet a browser with an error: it wants a token.
    if event in {EventType.COMPLETED, EventType.EXPIRING}:
        how = f"{_FETCH} There is no page to open in a browser."
        link_text = "To download it from a command line"
        address = f"waybill download {data['id']}"
    else:
        how = "There is no page to open in a browser."
        link_text = "To look at it from a command line"
        address = f"waybill status {data['id']}"
    return MailContent(subject, (says, how), tuple(facts), address, link_text, is_page=False)


def _text(content: MailContent) -> str:
    facts = "\n".join(f"{label}: {value}" for label, value in content.facts)
    first, *rest = content.paragraphs
    return "\n\n".join([first, f"{content.link_text}:\n{content.link}", *rest, facts]) + "\n"


def _html(content: MailContent) -> str:
    # Headings, paragraphs and a table with row headers; no image, script, style sheet or tracker.
    first, *rest = (f"<p>{escape(paragraph)}</p>" for paragraph in content.paragraphs)
    facts = "\n".join(
        f'<tr><th scope="row" align="left">{escape(label)}</th><td>{escape(value)}</td></tr>'
        for label, value in content.facts
    )
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{escape(content.subject)}</title></head>
<body>
<h1>{escape(content.subject)}</h1>
{first}
{_link_html(content)}
{"".join(rest)}
<table cellpadding="4">
{facts}
</table>
</body>
</html>
"""


def _link_html(content: MailContent) -> str:
    if content.is_page:
        return f'<p><a href="{escape(content.link)}">{escape(content.link_text)}</a></p>'
    return f"<p>{escape(content.link_text)}: <code>{escape(content.link)}</code></p>"


def _one_line(text: str) -> str:
    # A header never gets more than one line, whatever a catalog calls its types.
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _moment(instant: str) -> str:
    moment = datetime.fromisoformat(instant)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _size(size_bytes: int) -> str:
    if size_bytes == 1:
        return "1 byte"
    size, unit = float(size_bytes), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return (
        f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 99.5 else f"{size:.1f} {_UNITS[unit]}"
    )
