# ruff: noqa: E501 - one line of a record is one line here
"""What is recognised in which form: the samples that the tests read and the documents show.

python packages/adrkit/tests/dialects/samples.py > docs/adrkit/dialects.md
"""

from __future__ import annotations

import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from adrkit.dialects.metadata import KEYS
from adrkit.model import SectionName


@dataclass(frozen=True)
class Sample:
    """``text`` is the head of a record in the form ``what``; the rest is what must be read from it.

    ``relations`` are pairs of kind and number. ``settings`` are lines of ``adrkit.toml``.
    """

    what: str
    text: str
    status: str | None = None
    date: str | None = None
    title: str | None = None
    deciders: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    relations: tuple[tuple[str, int], ...] = ()
    name: str = "0012-use-queues.md"
    number: int | None = 12
    settings: str = ""


def by(*numbers: int) -> tuple[tuple[str, int], ...]:
    return tuple(("superseded-by", number) for number in numbers)


def of(*numbers: int) -> tuple[tuple[str, int], ...]:
    return tuple(("supersedes", number) for number in numbers)


@dataclass(frozen=True)
class Group:
    title: str
    about: str
    samples: list[Sample] = field(default_factory=list)


HOUSE = Group("House template", "Bold lines under the title.", [
    Sample("bold lines", "# ADR-0012: T\n\n**Date:** 2026-01-31\n**Status:** Accepted\n",
           "Accepted", "2026-01-31", "T"),
    Sample("colon outside", "# ADR-0012: T\n\n**Status**: Proposed\n", "Proposed", title="T"),
    Sample("value over two lines", "# T\n\n**Status:** Superseded by\n[ADR-0020](0020-x.md)\n",
           "Superseded", relations=by(20)),
    Sample("list of bold lines", "# T\n\n- **Status:** Rejected\n- **Date:** 2026-01-31\n",
           "Rejected", "2026-01-31"),
    Sample("several on a line", "# T\n\n**Status:** Accepted | **Date:** 2026-01-31\n",
           "Accepted", "2026-01-31"),
    Sample("several without a bar", "# T\n\n**Status:** Accepted **Date:** 2026-01-31\n",
           "Accepted", "2026-01-31"),
    Sample("linked value", "# T\n\n**Status:** [Accepted](https://x.example/ok)\n", "Accepted"),
    Sample("emphasised value", "# T\n\n**Status:** _**Accepted**_\n", "Accepted"),
    Sample("quotation", "# T\n\n> **Status:** Accepted\n> **Date:** 2026-01-31\n",
           "Accepted", "2026-01-31"),
    Sample("successor in Related",
           "# T\n\n**Status:** Superseded\n\n## Related\n\n- **Superseded by:** [ADR-0020](0020-x.md)\n",
           "Superseded", relations=by(20)),
    Sample("heading Related decisions",
           "# T\n\n**Status:** Accepted\n\n## Related Decisions\n\n- Supersedes [ADR-3](0003-x.md)\n",
           "Accepted", relations=of(3)),
])  # fmt: skip

MADR = Group("MADR 2, 3 and 4", "List items under the title, or YAML front matter.", [
    Sample("MADR 2 items", "# T\n\n* Status: accepted\n* Deciders: Ann, Bob\n* Date: 2020-01-02\n",
           "Accepted", "2020-01-02", deciders=("Ann", "Bob")),
    Sample("MADR 2 title with number", "# 12. Use Queues\n\n* Status: proposed\n", "Proposed",
           title="Use Queues"),
    Sample("MADR 2 link to successor",
           "# T\n\n* Status: superseded by [ADR-0005](0005-example.md)\n", "Superseded",
           relations=by(5)),
    Sample("MADR 3 front matter",
           "---\nstatus: accepted\ndate: 2022-10-06\ndeciders: Ann, Bob\n---\n# T\n",
           "Accepted", "2022-10-06", "T", ("Ann", "Bob")),
    Sample("MADR 4 front matter",
           "---\nstatus: \"accepted\"\ndate: 2024-03-01\ndecision-makers: [Ann, Bob]\nconsulted: Eve\n"
           "---\n# T\n", "Accepted", "2024-03-01", deciders=("Ann", "Bob")),
    Sample("deciders as a block list", "---\nstatus: accepted\ndeciders:\n  - Ann\n  - Bob B.\n---\n# T\n",
           "Accepted", deciders=("Ann", "Bob B.")),
    Sample("braces of the template left on", "---\nstatus: { accepted }\n---\n# T\n", "Accepted"),
    Sample("braces without blanks", "---\nstatus: {accepted}\n---\n# T\n", "Accepted"),
    Sample("template not filled in",
           "---\nstatus: {proposed | rejected | accepted}\ndate: {YYYY-MM-DD}\n---\n# T\n"),
    Sample("link in a string",
           "---\nstatus: superseded by [0005](0005-x.md)\n---\n# T\n", "Superseded", relations=by(5)),
    Sample("two facts", "---\nstatus: \"accepted; supersedes ADR-0045\"\n---\n# T\n", "Accepted",
           relations=of(45)),
])  # fmt: skip

FRONT = Group("Front matter, in every format",
              "YAML between `---`, TOML between `+++`, JSON alone or between `;;;`; keys in any case, with `-`, `_` or blanks.", [
    Sample("alone, no section known", "---\nstatus: Accepted\ndate: 2024-03-01\n---\n\n# T\n\n## Why\n",
           "Accepted", "2024-03-01", "T"),
    Sample("with the house's sections", "---\nstatus: Deprecated\n---\n# ADR-0012: T\n\n## Decision\n\nd\n",
           "Deprecated", title="T"),
    Sample("with Nygard's sections",
           "---\nstatus: accepted\n---\n# T\n\n## Context\n\n## Decision\n\n## Consequences\n", "Accepted"),
    Sample("title, tags, deciders",
           "---\ntitle: \"ADR-0012: Use Queues\"\nstatus: accepted\ntags: [ops, queue]\nDeciders: Ann\n---\n",
           "Accepted", title="Use Queues", tags=("ops", "queue"), deciders=("Ann",)),
    Sample("relations by number", "---\nstatus: superseded\nsuperseded_by: 5\nsupersedes: [3, 0004]\n---\n# T\n",
           "Superseded", relations=(*by(5), *of(3, 4))),
    Sample("relations by name",
           "---\nstatus: superseded\nsuperseded-by: ADR-0005\nsupersedes:\n  - 0003-x.md\n  - \"[4](0004-y.md)\"\n"
           "---\n# T\n", "Superseded", relations=(*by(5), *of(3, 4))),
    Sample("relations with nothing in them", "---\nstatus: accepted\nsuperseded_by: null\nsupersedes: []\n---\n# T\n",
           "Accepted"),
    Sample("other words for them", "---\nstatus: accepted\nreplaces: ADR-3\namends: 7\namended-by: [8]\n---\n# T\n",
           "Accepted", relations=(*of(3), ("amended-by", 8), ("amends", 7))),
    Sample("comment behind the value", "---\nstatus: accepted # since May\ndate: 2024-03-01 # or so\n---\n# T\n",
           "Accepted", "2024-03-01"),
    Sample("no YAML: plain lines are read", "---\nstatus: accepted\ndeciders: @ann, @bob\n---\n# T\n",
           "Accepted", deciders=("@ann", "@bob")),
    Sample("TOML", "+++\nstatus = \"accepted\"\ndate = 2024-03-01\ntags = [\"a\", \"b\"]\n+++\n# T\n",
           "Accepted", "2024-03-01", tags=("a", "b")),
    Sample("JSON, as Hugo has it", "{\n\t\"status\": \"accepted\",\n\t\"date\": \"2024-03-01\",\n\t\"tags\": [\"a\"]\n}\n\n# T\n",
           "Accepted", "2024-03-01", "T", tags=("a",)),
    Sample("JSON between lines", ";;;\n{\"status\": \"superseded\", \"superseded_by\": 5}\n;;;\n# T\n",
           "Superseded", title="T", relations=by(5)),
    Sample("Windows line ends", "---\r\nstatus: accepted\r\ndate: 2024-03-01\r\n---\r\n# T\r\n",
           "Accepted", "2024-03-01", "T"),
])  # fmt: skip

NYGARD = Group("Nygard, adr-tools", "`## Status` and `## Date` sections.", [
    Sample("adr-tools", "# 12. T\n\nDate: 2017-06-30\n\n## Status\n\nAccepted\n\n## Context\n",
           "Accepted", "2017-06-30", "T"),
    Sample("date as a section", "# 12. T\n\n## Date\n\n2017-06-30\n\n## Status\n\nAccepted\n",
           "Accepted", "2017-06-30"),
    Sample("deciders as a section", "# T\n\n## Status\n\nAccepted\n\n## Deciders\n\n- Ann\n- Bob\n",
           "Accepted", deciders=("Ann", "Bob")),
    Sample("status in the heading", "# T\n\n## Status: Accepted\n\n## Context\n", "Accepted"),
    Sample("heading of level 3", "# T\n\n### Status\n\nProposed\n", "Proposed"),
    Sample("old spelling", "# 12. T\n\n## Status\n\nSuperceded by [15. DNS](0015-dns.md)\n",
           "Superseded", relations=by(15)),
    Sample("successor without a number in its text", "# T\n\n## Status\n\nSuperseded by [DNS](0015-dns.md)\n",
           "Superseded", relations=by(15)),
    Sample("relations in paragraphs",
           "# T\n\n## Status\n\nAccepted\n\nAmends [2. Hosts](0002-hosts.md)\n\nSupersedes [1. A](0001-a.md)\n",
           "Accepted", relations=(("amends", 2), *of(1))),
    Sample("history: a supersession is the end",
           "# T\n\n## Status\n\nSuperseded by [5. B](0005-b.md)\n\nAccepted\n", "Superseded", relations=by(5)),
    Sample("history: the latest day counts",
           "# T\n\n## Status\n\n- 2023-06-01: Accepted\n- 2023-05-01: Proposed\n", "Accepted", "2023-06-01"),
    Sample("history: without days the last one", "# T\n\n## Status\n\nProposed\n\nAccepted\n", "Accepted"),
    Sample("history as a table",
           "# T\n\n## Status\n\n| Date | Status |\n|---|---|\n| 2023-05-01 | Proposed |\n| 2023-06-01 | Rejected |\n",
           "Rejected", "2023-06-01"),
    Sample("boxes to tick", "# T\n\n## Status\n\n- [ ] Proposed\n- [x] Accepted\n- [ ] Rejected\n", "Accepted"),
    Sample("prose behind the word", "# T\n\n## Status\n\nAccepted — core is there (see \"Rollout\"\nbelow), rejected parts are not.\n",
           "Accepted"),
    Sample("template's comment", "# T\n\n## Status\n\n<!-- proposed, accepted ... -->\nAccepted\n", "Accepted"),
])  # fmt: skip

LOG4BRAINS = Group("log4brains, adr-manager and others", "Items without stars, tags, names with a day.", [
    Sample("log4brains", "# Use Queues\n\n- Status: accepted\n- Date: 2023-05-01\n- Tags: ops, queue\n",
           "Accepted", "2023-05-01", "Use Queues", tags=("ops", "queue"), name="20230501-use-queues.md", number=None),
    Sample("day in the name alone", "# Use Queues\n\n- Status: draft\n", "Proposed", "2023-05-01",
           name="20230501-use-queues.md", number=None),
    Sample("day with hyphens", "# Use Queues\n\n- Status: accepted\n", "Accepted", "2023-05-01",
           name="2023-05-01-use-queues.md", number=None),
    Sample("bold key in a list", "# T\n\n* **Status**: Accepted\n* **Deciders**: Ann; Bob\n", "Accepted",
           deciders=("Ann", "Bob")),
    Sample("emphasised key", "# T\n\n*Status:* accepted\n", "Accepted"),
    Sample("underlined key", "# T\n\n__Status__: accepted\n", "Accepted"),
    Sample("plain line", "# T\n\nStatus: accepted\nDate: 2023-05-01\n", "Accepted", "2023-05-01"),
    Sample("lower case", "# T\n\nstatus: accepted\n", "Accepted"),
    Sample("value on the next line", "# T\n\n**Status:**\nAccepted\n", "Accepted"),
    Sample("under a heading Metadata", "# T\n\n## Metadata\n\n- Status: accepted\n- Date: 2023-05-01\n",
           "Accepted", "2023-05-01"),
])  # fmt: skip

TABLES = Group("Metadata tables", "Keys in the first column, or in the first row above one row of values.", [
    Sample("keys downwards", "# T\n\n| | |\n|---|---|\n| Status | Accepted |\n| Date | 2023-05-01 |\n",
           "Accepted", "2023-05-01"),
    Sample("keys downwards, the first as header", "# T\n\n| Status | Accepted |\n|---|---|\n| **Date** | 2023-05-01 |\n",
           "Accepted", "2023-05-01"),
    Sample("keys downwards under Field and Value",
           "# T\n\n| Field | Value |\n|---|---|\n| Status | Superseded by [ADR-0020](0020-x.md) |\n| Deciders | Ann, Bob |\n",
           "Superseded", deciders=("Ann", "Bob"), relations=by(20)),
    Sample("keys across", "# T\n\n| Status | Date | Deciders |\n|---|---|---|\n| Accepted | 2023-05-01 | Ann |\n",
           "Accepted", "2023-05-01", deciders=("Ann",)),
    Sample("relations", "# T\n\n| Status | Accepted |\n|---|---|\n| Supersedes | ADR-3, ADR-4 |\n| Superseded by | - |\n",
           "Accepted", relations=of(3, 4)),
])  # fmt: skip

NAMES = Group("File names and titles", "The number, wherever it stands.", [
    Sample("padded", "# T\n", name="0012-title.md"),
    Sample("three digits", "# ADR-012: T\n", name="012-title.md", title="T"),
    Sample("`ADR-12-title.md`", "# ADR-12: T\n", name="ADR-12-title.md", title="T"),
    Sample("`adr-0012_title.md`", "# T\n", name="adr-0012_title.md"),
    Sample("`adr_0012_title.md`", "# T\n", name="adr_0012_title.md"),
    Sample("`ADR 12 - title.md`", "# ADR 12 - Title\n", name="ADR 12 - title.md", title="Title"),
    Sample("`12.md`", "# T\n", name="12.md"),
    Sample("`12. Title.md`", "# T\n", name="12. Title.md"),
    Sample("`web-adr-0012-title.md`", "# T\n", name="web-adr-0012-title.md"),
    Sample("unnumbered, number in the title", "# ADR-0012: T\n", name="use-queues.md", title="T"),
    Sample("unnumbered, known by its status", "# T\n\n## Status\n\nAccepted\n", "Accepted", name="use-queues.md",
           number=None),
    Sample("title in brackets", "# [ADR-0012] Use Queues\n", title="Use Queues"),
    Sample("title on level 2", "## ADR-0012: Use Queues\n\n**Status:** Accepted\n", "Accepted", title="Use Queues"),
    Sample("title as words", "# Architecture Decision Record 12: Use Queues\n", title="Use Queues"),
])  # fmt: skip

VALUES = Group("Statuses and dates, however they are written",
               "The first word counts; what cannot be told apart is not guessed.", [
    Sample("day behind", "# T\n\n**Status:** Accepted (2023-05-01)\n", "Accepted", "2023-05-01"),
    Sample("day in front", "# T\n\n**Status:** 2023-05-01: accepted\n", "Accepted", "2023-05-01"),
    Sample("on a day", "# T\n\n**Status:** Accepted on 2023-05-01\n", "Accepted", "2023-05-01"),
    Sample("mark", "# T\n\n**Status:** ✅ Accepted\n", "Accepted"),
    Sample("code of a mark", "# T\n\n**Status:** :white_check_mark: Accepted\n", "Accepted"),
    Sample("badge", "# T\n\n**Status:** ![Accepted](https://img.example/accepted.svg)\n", "Accepted"),
    Sample("HTML", "# T\n\n**Status:** <span style=\"color:green\">Accepted</span>\n", "Accepted"),
    Sample("struck out", "# T\n\n**Status:** ~~Proposed~~ Accepted\n", "Accepted"),
    Sample("capitals", "# T\n\n**Status:** ACCEPTED\n", "Accepted"),
    Sample("Superceded", "# T\n\n**Status:** Superceded by ADR-0020\n", "Superseded", relations=by(20)),
    Sample("Replaced by", "# T\n\n**Status:** Replaced by ADR-0020\n", "Superseded", relations=by(20)),
    Sample("unpadded, several", "# T\n\n**Status:** Superseded by ADR-7, ADR-8 and 9\n", "Superseded",
           relations=by(7, 8, 9)),
    Sample("link with title and anchor",
           "# T\n\n**Status:** Superseded by [ADR 20](./0020-x.md#decision \"The new one\")\n", "Superseded",
           relations=by(20)),
    Sample("accepted, then superseded", "# T\n\n**Status:** Accepted, superseded by ADR-0020\n", "Superseded",
           relations=by(20)),
    Sample("part of it", "# T\n\n**Status:** Accepted, the retry part was superseded by ADR-0002\n", "Accepted"),
    Sample("denied", "# T\n\n**Status:** Accepted, not superseded by ADR-0003\n", "Accepted"),
    Sample("two facts beside each other", "# T\n\n**Status:** Draft · Superseded by ADR-0030\n", "Proposed"),
    Sample("still to come", "# T\n\n**Status:** Accepted, to be superseded by ADR-0003\n", "Accepted"),
    Sample("in part", "# T\n\n**Status:** Accepted — substantially superseded by ADR-028/030\n", "Accepted"),
    Sample("undecided", "# T\n\n**Status:** Rejected/Accepted\n"),
    Sample("two words for one thing", "# T\n\n**Status:** Accepted / Implemented\n", "Accepted"),
    Sample("unknown word", "# T\n\n**Status:** Partly superseded\n"),
    Sample("denied word", "# T\n\n**Status:** Not accepted\n"),
    Sample("2026/01/31", "# T\n\n**Date:** 2026/01/31\n", date="2026-01-31"),
    Sample("31.01.2026", "# T\n\n**Date:** 31.01.2026\n", date="2026-01-31"),
    Sample("January 31, 2026", "# T\n\n**Date:** January 31, 2026\n", date="2026-01-31"),
    Sample("31st of January 2026", "# T\n\n**Date:** 31st of January 2026\n", date="2026-01-31"),
    Sample("with time", "# T\n\n**Date:** 2026-01-31T10:00:00Z\n", date="2026-01-31"),
    Sample("day and month in one order only", "# T\n\n**Date:** 01/31/2026\n", date="2026-01-31"),
    Sample("day and month in either order", "# T\n\n**Date:** 03/04/2026\n"),
    Sample("with a remark", "# T\n\n**Date:** 2026-01-31 (accepted 2026-02-02)\n", date="2026-01-31"),
])  # fmt: skip

OWN = Group("Words of your own", "`statuses`, `headings` and `fields` of the settings; files keep their words.", [
    Sample("a status", "# T\n\n**Status:** Implemented since May\n", "Deprecated",
           settings='statuses = { "Implemented" = "Deprecated" }'),
    Sample("a status of two words", "# T\n\n## Status\n\nIn Review\n", "Proposed",
           settings='statuses = { "in review" = "Proposed" }'),
    Sample("German",
           "# T\n\n* Datum: 2026-01-31\n* Stand: angenommen\n", "Accepted", "2026-01-31",
           settings='statuses = { "Angenommen" = "Accepted" }\nfields = { Datum = "date", Stand = "status" }'),
    Sample("French section",
           "# T\n\n## Statut\n\nAccepté\n\n## Décision\n\nd\n", "Accepted",
           settings='statuses = { "Accepté" = "Accepted" }\nheadings = { Statut = "status", "Décision" = "decision" }'),
])  # fmt: skip

ODD = Group(
    "From other programs and hands",
    "Written by people who knew none of the forms above, or copied out of a wiki.",
    [
        Sample(
            "successor in a word and a link, as dotnet-adr has it",
            "# T\n\n## Status\n\nSuperseded by ADR [20](./0020-x.md)\n",
            "Superseded",
            relations=by(20),
        ),
        Sample(
            "successors by word",
            "# T\n\n**Status:** Superseded by ADRs 20 and 21\n",
            "Superseded",
            relations=by(20, 21),
        ),
        Sample(
            'successor by "no."',
            "# T\n\n**Status:** Superseded by decision no. 20\n",
            "Superseded",
            relations=by(20),
        ),
        Sample(
            "successor in brackets",
            "# T\n\n**Status:** Superseded (by ADR-0020)\n",
            "Superseded",
            relations=by(20),
        ),
        Sample(
            "successor in code",
            "# T\n\n**Status:** Superseded by `0020-x.md`\n",
            "Superseded",
            relations=by(20),
        ),
        Sample(
            "successor as a wiki's link",
            "# T\n\n## Status\n\nSuperseded by [[0020-x|the new one]]\n",
            "Superseded",
            relations=by(20),
        ),
        Sample(
            "successor as a link in HTML",
            '# T\n\n## Status\n\nSuperseded by <a href="0020-x.md">20</a>\n',
            "Superseded",
            relations=by(20),
        ),
        Sample(
            "day before the successor",
            "# T\n\n## Status\n\n- 2023-06-01: Superseded by [20. X](0020-x.md)\n- 2023-05-01: Accepted\n",
            "Superseded",
            "2023-06-01",
            relations=by(20),
        ),
        Sample(
            "day in words",
            "# T\n\n## Status\n\nAccepted on January 2, 2024\n",
            "Accepted",
            "2024-01-02",
        ),
        Sample(
            "break in HTML",
            "# T\n\n**Status:** Accepted<br>**Date:** 2023-05-01\n",
            "Accepted",
            "2023-05-01",
        ),
        Sample(
            "wide colon",
            "# T\n\n**Status：** Accepted\nDate：2023-05-01\n",
            "Accepted",
            "2023-05-01",
        ),
        Sample("anchor of a heading", "# T\n\n## Status {#status}\n\nAccepted\n", "Accepted"),
        Sample("anchor in HTML", '# T\n\n## <a name="s"></a>Status\n\nAccepted\n', "Accepted"),
        Sample(
            "sections of the title's level",
            "# T\n\n# Status\n\nAccepted\n\n# Context\n",
            "Accepted",
            title="T",
        ),
        Sample(
            "what the successor of others is",
            "# T\n\n**Status:** Accepted, not superseded by the ADR 20\n",
            "Accepted",
        ),
        Sample(
            "day in brackets", "# T\n\nStatus: Accepted (2021-03-04)\n", "Accepted", "2021-03-04"
        ),
        Sample(
            "byte order mark, CRLF",
            "\ufeff# T\r\n\r\n## Status\r\n\r\nAccepted\r\n\r\n## Date\r\n\r\n2021-03-04\r\n",
            "Accepted",
            "2021-03-04",
            "T",
        ),
        Sample(
            "underlined headings",
            "T\n=\n\nStatus\n------\n\nSuperseded by [ADR 5](0005-e.md)\n",
            "Superseded",
            title="T",
            relations=by(5),
        ),
        Sample(
            "comment that lies",
            "<!-- status: rejected -->\n# T\n\n| Status | Accepted |\n|---|---|\n| Date | 4 March 2021 |\n",
            "Accepted",
            "2021-03-04",
        ),
        Sample(
            "key in bold, definition",
            "# ADR-012 – T\n\n**Status**\n\n: Proposed\n",
            "Proposed",
            title="T",
        ),
        Sample(
            "key in bold, next line",
            "# T\n\n**Status**\nAccepted\n\n**Date**\n2021-03-04\n",
            "Accepted",
            "2021-03-04",
        ),
        Sample(
            "key in bold, next paragraph",
            "# T\n\n**Status:**\n\nAccepted\n\n**Context**\n\nWe go on.\n",
            "Accepted",
        ),
        Sample("key in bold, prose below", "# T\n\n**Status**\n\nNobody asked about it.\n", None),
        Sample(
            "numbered headings",
            "# T\n\n## 1. Status\n\nAccepted\n\n## 2. Date\n\n2021-03-04\n",
            "Accepted",
            "2021-03-04",
        ),
        Sample(
            "symbols in headings",
            "# T\n\n## Status 🟢\n\nACCEPTED.\n\n## 📅 Date\n\n2021-03-04\n",
            "Accepted",
            "2021-03-04",
        ),
        Sample(
            "dashes that do not break",
            "# T\n\n- Status: ✅ accepted\n- Date: 2021‑03‑04\n",
            "Accepted",
            "2021-03-04",
        ),
        Sample(
            "both sides in one status",
            "# T\n\n## Status\n\nSupersedes ADR-1 and ADR-2; superseded by ADR-3.\n",
            "Superseded",
            relations=(*of(1, 2), *by(3)),
        ),
        Sample(
            "list of statuses",
            "---\nstatus:\n  - deprecated\ndate: 2021/03/04\n...\n\n# T\n",
            "Deprecated",
            "2021-03-04",
        ),
        Sample(
            "status with a list of successors",
            '---\nStatus: "Superseded by 0010, 0011"\n---\n# T\n',
            "Superseded",
            relations=by(10, 11),
        ),
        Sample(
            "choices in a comment",
            "# T\n\n## Status\n\n<!-- Proposed | Accepted | Rejected -->\n\nAccepted\n",
            "Accepted",
        ),
        Sample(
            "emphasis, hard break",
            "# T\n\n*Status:* _deprecated_ \\\n*Date:* 04.03.2021\n",
            "Deprecated",
            "2021-03-04",
        ),
        Sample(
            "blank before the colon",
            "# T\n\nStatus : Accepted\nDate : 2021-3-4\n",
            "Accepted",
            "2021-03-04",
        ),
        Sample(
            "table without a heading",
            "# T\n\n|     |     |\n| --- | --- |\n| **Status** | Superseded by [0023](0023-w.md), [0024](0024-x.md) |\n",
            "Superseded",
            relations=by(23, 24),
        ),
        Sample(
            "day in words",
            "# T\n\nDate: March 4th, 2021\n\n## Status\n\nAccepted on 2021-03-04 by the board\n",
            "Accepted",
            "2021-03-04",
        ),
        Sample(
            "AsciiDoc",
            "= T\n\nStatus:: Accepted\nDate:: 2021-03-04\n\n== Context\n\nx\n",
            "Accepted",
            "2021-03-04",
        ),
        Sample("HTML", "# T\n\n<dl><dt>Status</dt><dd>Accepted</dd></dl>\n", None),
        Sample(
            "nested front matter",
            "---\nadr:\n  status: accepted\n  date: 2021-03-04\n---\n# T\n",
            None,
        ),
        Sample(
            "another language",
            "# T\n\n## État\n\nAccepté\n",
            "Accepted",
            settings='headings = { "État" = "status" }\nstatuses = { "Accepté" = "Accepted" }',
        ),
    ],
)

GROUPS = (HOUSE, MADR, FRONT, NYGARD, LOG4BRAINS, TABLES, NAMES, VALUES, ODD, OWN)

_HEAD = """# What adrkit reads, format by format

<!-- Written by `python packages/adrkit/tests/dialects/samples.py`; edits are lost. -->

Every row is a test: the text is read as a record, and what the other columns say is what `adr`
understands. `–` means that nothing is taken for it; line ends are shown as `↵`. The first place
counts where a record says a thing twice: front matter, tables and lines above the first section,
sections; `adr lint` reports the second. In a Status section that is a history the entry of the
latest day counts, without days the last one, and a supersession in any case.

A relation is declared by a status that begins with it ("Superseded by ADR-0020"), by a clause of
the status that says nothing else ("Accepted; supersedes ADR-0045"), by a key (`superseded_by: 20`)
or by an entry of Related. Prose about other records is no link.

Markdown files of the records directory that are no record for adrkit (neither number nor day in the
name, no title `# ADR-NNNN`, no status that is known) are named by `adr list`, `adr lint` and
`adr import`. README, index, changelog, contributing, toc, glossary and templates are left out
silently, and so is what `exclude` names; but one with a status in a numbered directory
(`0012-title/README.md`) is named. Front matter that does not parse is reported by `adr lint`
(ADR213), and its plain `key: value` lines are read.

A project's own words stand in its settings. They are a view: files keep their words, and
`adr lint --fix` leaves them alone.

```toml
[tool.adrkit]
statuses = { "Implemented" = "Accepted", "In Review" = "Proposed" }
headings = { "Entscheidung" = "decision", "Kontext" = "context" }
fields = { "Datum" = "date", "Stand" = "status" }
```

`statuses` may mean Proposed, Accepted, Rejected, Deprecated or Superseded; `headings` the sections
SECTIONS;
`fields` the keys KEYS.

"""


def page() -> str:
    sections = textwrap.fill(", ".join(f"`{name.value}`" for name in SectionName), 99)
    keys = ", ".join(f"`{key}`" for key in KEYS)
    head = _HEAD.replace("SECTIONS", sections).replace("KEYS", keys)
    parts = [head.rstrip()]
    for group in GROUPS:
        parts.append(f"## {group.title}\n\n{group.about}")
        rows = [
            "| Form | Record | Status | Date | Also |",
            "|---|---|---|---|---|",
            *(_row(sample) for sample in group.samples),
        ]
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _row(sample: Sample) -> str:
    text = sample.text.rstrip("\r\n").replace("\r", "").replace("\n", " ↵ ")
    also = [f"number {sample.number}" if sample.number is not None else "no number"]
    if sample.name == "0012-use-queues.md":
        also = []
    also += [f"{kind} {number:04d}" for kind, number in sample.relations]
    if sample.title and sample.title != "T":
        also.append(f"title {sample.title}")
    also += [f"deciders {', '.join(sample.deciders)}"] if sample.deciders else []
    also += [f"tags {', '.join(sample.tags)}"] if sample.tags else []
    also += [f"with `{line}`" for line in sample.settings.splitlines()]
    what = (
        sample.what
        if sample.name == "0012-use-queues.md" or "`" in sample.what
        else (f"{sample.what}: `{sample.name}`")
    )
    cells = (
        what, f"`{text}`", sample.status or "–", sample.date or "–", "; ".join(also) or "–"
    )  # fmt: skip
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(page())

REPOSITORY = Path(__file__).parents[4]
