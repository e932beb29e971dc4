"""Does a diff look like a decision? Rules over what it adds, no guess about what it means.

Each rule looks for one thing that costs something to take back: a dependency, something that
runs, stored or exchanged data, who may do what. Structure counts and not words, so that everyday
changes of the same files stay silent; tests, documents and examples are no decisions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import yaml

from adrkit.review.diff import FileDiff, Line
from adrkit.review.manifests import dependencies


@dataclass(frozen=True, slots=True)
class Signal:
    """``kind`` is dependency, service, schema or auth; ``subject`` what is new, in a word."""

    kind: str
    subject: str
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Sides:
    """Contents of a path (relative to the top level) before and after, None where it is not;
    ``paths`` are all files before."""

    before: Callable[[str], bytes | None]
    after: Callable[[str], bytes | None]
    paths: Sequence[str]


_NO_PRODUCT = re.compile(
    r"(?:^|/)(?:tests?|testing|testdata|__tests__|spec|specs|fixtures?|examples?|samples?|docs?|"
    r"documentation|benchmarks?|node_modules|vendor|third_party|\.github)(?:/|$)"
    r"|(?:^|/)(?:test_[^/]*|conftest\.py|[^/]*[._-](?:test|spec|stories)\.[^/]+)$",
    re.I,
)


def is_no_product(path: str) -> bool:
    """Whether a file is a test, a document, an example, or somebody else's."""
    return _NO_PRODUCT.search(path) is not None


_PROSE = {".md", ".markdown", ".rst", ".txt", ".adoc", ".svg", ".html", ".css", ".lock"}


def signals(files: Sequence[FileDiff], sides: Sides) -> Iterator[Signal]:
    """Everything in a diff that looks like a decision, each thing once."""
    product = [file for file in files if not _NO_PRODUCT.search(file.path)]
    yield from _dependencies(product, sides)
    for file in product:
        if file.status != "D":
            yield from _services(file, sides)
        yield from _schema(file)
        yield from _auth(file)


# --- dependencies ---------------------------------------------------------------------------


def _dependencies(files: Sequence[FileDiff], sides: Sides) -> Iterator[Signal]:
    known: set[str] | None = None
    seen: set[str] = set()
    for file in files:
        after = sides.after(file.path) if file.status != "D" else None
        if after is None or (new := dependencies(file.path, after)) is None:
            continue
        new = new - (dependencies(file.old_path, sides.before(file.old_path) or b"") or set())
        if new and known is None:
            known = _declared(sides)  # moved from one file to another is not new
        for name in sorted(new - (known or set()) - seen):
            seen.add(name)
            yield Signal("dependency", name, file.path, _line_of(file.added, name))


def _declared(sides: Sides) -> set[str]:
    found: set[str] = set()
    for path in sides.paths:
        if not _NO_PRODUCT.search(path) and dependencies(path, b"") is not None:
            found |= dependencies(path, sides.before(path) or b"") or set()
            parts = PurePosixPath(path)
            if parts.name == "pyproject.toml":  # its own name: workspaces depend on each other
                match = re.search(rb'^name\s*=\s*"([\w.-]+)"', sides.before(path) or b"", re.M)
                found |= {match.group(1).decode().lower().replace("_", "-")} if match else set()
    return found


def _line_of(lines: Sequence[Line], name: str) -> int:
    wanted = re.escape(name).replace(r"\-", "[-_.]").replace("/", "[:/]")
    for line in lines:
        if re.search(rf"(?<![\w-]){wanted}(?![\w-])", line.text, re.I):
            return line.number
    return lines[0].number if lines else 1


# --- services -------------------------------------------------------------------------------

_COMPOSE = re.compile(r"(?:docker-)?compose[^/]*\.ya?ml", re.I)
_WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Service", "Knative"}
#: `Dockerfile`, `Dockerfile.web`, `web.Dockerfile`; a program that reads them is none.
_IMAGE = re.compile(r"(?:[\w.-]+\.)?(?:docker|container)file(?:[.-][\w-]+)*", re.I)
_NO_IMAGE = {".dockerignore", ".containerignore"}
_RESOURCE = re.compile(r'^\s*resource\s+"(\w+)"\s+"([\w-]+)"')


def _services(file: FileDiff, sides: Sides) -> Iterator[Signal]:
    path = PurePosixPath(file.path)
    suffix = path.suffix.lower()
    if _IMAGE.fullmatch(path.name) and suffix not in _CODE | _PROSE | _NO_IMAGE:
        if file.status == "A":
            yield Signal("service", path.as_posix(), file.path, 1)
        return
    if suffix in (".yml", ".yaml") or path.name == "Procfile":
        reader = _runs_of_compose if _COMPOSE.fullmatch(path.name) else _runs_of_cluster
        if path.name == "Procfile":
            reader = _runs_of_procfile
        after = reader(sides.after(file.path) or b"")
        before = reader(sides.before(file.old_path) or b"")
        for name in sorted(after - before):
            yield Signal("service", name, file.path, _line_of(file.added, name.split(" ")[-1]))
    elif suffix == ".tf":
        gone = {m.groups() for line in file.removed if (m := _RESOURCE.match(line.text))}
        for line in file.added:
            if (match := _RESOURCE.match(line.text)) and match.groups() not in gone:
                yield Signal("service", " ".join(match.groups()), file.path, line.number)


def _documents(data: bytes) -> list[object]:
    if len(data) > 1_000_000 or data.count(b"*") > 200:  # generated, or made to explode
        return []
    try:
        return list(yaml.safe_load_all(data))
    except (yaml.YAMLError, ValueError, RecursionError):
        return []


def _runs_of_compose(data: bytes) -> frozenset[str]:
    found: set[str] = set()
    for document in _documents(data):
        services = document.get("services") if isinstance(document, dict) else None
        if isinstance(services, dict):
            found |= {f"service {name}" for name in services}
    return frozenset(found)


def _runs_of_cluster(data: bytes) -> frozenset[str]:
    found: set[str] = set()
    if b"apiVersion" not in data:
        return frozenset()
    for document in _documents(data):
        if isinstance(document, dict) and document.get("kind") in _WORKLOADS:
            metadata = document.get("metadata")
            name = metadata.get("name") if isinstance(metadata, dict) else None
            found.add(f"{document['kind']} {name}")
    return frozenset(found)


def _runs_of_procfile(data: bytes) -> frozenset[str]:
    names = re.findall(rb"^(\w+):", data, re.MULTILINE)
    return frozenset(f"process {name.decode()}" for name in names)


# --- schema ---------------------------------------------------------------------------------

_MIGRATION = re.compile(
    r"(?:^|/)(?:migrations?|alembic/versions|migrations?/versions|db/migrate|flyway|liquibase)/"
    r"(?:[^/]+/)*[^/]+\.(?:py|sql|rb|js|ts|php|xml|ya?ml|exs|cs|kt|java)$",
    re.I,
)
_DDL = re.compile(
    r"\b(?:create|alter|drop)\s+(?:or\s+replace\s+)?(?:unique\s+|temp(?:orary)?\s+)?"
    r"(?:table|type|schema|materialized\s+view|view|index)\b",
    re.I,
)
_CONTRACTS: Mapping[str, re.Pattern[str]] = {
    ".proto": re.compile(
        r"^\s*(?:message|service|rpc|enum)\s+\w+|^\s*(?:\w+\s+)+\w+\s*=\s*\d+\s*;"
    ),
    ".graphql": re.compile(r"^\s*(?:type|input|enum|interface|union|extend)\s+\w+"),
    ".prisma": re.compile(r"^\s*(?:model|enum)\s+\w+\s*\{|^\s+\w+\s+[A-Z]\w*[?\[]?"),
    ".avsc": re.compile(r'"(?:name|type|fields)"\s*:'),
}


def _schema(file: FileDiff) -> Iterator[Signal]:
    path = PurePosixPath(file.path)
    if _MIGRATION.search(file.path):
        if file.status == "A" and path.name != "__init__.py":
            yield Signal("schema", path.name, file.path, 1)
        return
    suffix = path.suffix.lower()
    pattern = _DDL if suffix == ".sql" else _CONTRACTS.get(suffix)
    if pattern is None:
        return
    for line in _really(file.added, file.removed):
        text = re.sub(r"--.*$|//.*$|#.*$", "", line.text)
        if match := pattern.search(text):
            yield Signal("schema", match.group().strip(" {"), file.path, line.number)
            return


# --- who may do what ------------------------------------------------------------------------

_LIBRARY = (
    r"jwt|jose|authlib|oauthlib|requests_oauthlib|msal|ldap3?|python3?_saml|onelogin|passlib|"
    r"bcrypt|argon2|itsdangerous|pyotp|webauthn|passport|jsonwebtoken|next-auth|keycloak|casbin"
)
_AUTH = (
    ("library", re.compile(rf"^\s*(?:import|from)\s+['\"]?(?:{_LIBRARY})\b"
                           rf"|(?:require\(|from\s+)['\"](?:{_LIBRARY})['\"]")),
    ("signature check", re.compile(
        r"verify_signature|verify_(?:exp|aud|iss)\b|\balgorithms\s*[=:]")),
    ("certificate check", re.compile(
        r"\bverify\s*=\s*False|rejectUnauthorized\s*:\s*false|InsecureSkipVerify\s*:\s*true"
        r"|CERT_NONE|_create_unverified_context")),
    ("access rule", re.compile(
        r"@(?:login_required|permission_required|requires?_(?:auth|role|scope|permission)s?"
        r"|PreAuthorize|RolesAllowed|PermitAll|Secured)\b|permission_classes|\bAllowAny\b"
        r"|\bIsAuthenticated\b|\bhas_?[Rr]ole\(|\bpermitAll\(|\bSecurity\(|\bHTTPBearer\b|\bOAuth2[A-Z]\w+")),
    ("cross-origin rule", re.compile(r"allow_origins|CORS_ALLOW\w*|Access-Control-Allow-Origin")),
    ("life of a session", re.compile(
        r"\b(?:ACCESS|REFRESH|SESSION|TOKEN|COOKIE)_(?:TOKEN_)?(?:EXPIRES?|EXPIRY|LIFETIME|TTL|"
        r"MAX_AGE|TIMEOUT|AGE)\w*\s*[:=]", re.I)),
)  # fmt: skip
_CODE = {
    ".py", ".js", ".ts", ".tsx", ".jsx", ".go", ".rs", ".java", ".kt", ".rb", ".php", ".cs",
    ".scala", ".ex", ".exs", ".toml", ".yml", ".yaml", ".ini", ".cfg", ".conf", ".env", ".json",
}  # fmt: skip
_LONGEST_LINE = 2_000
_COMMENT = re.compile(r"^\s*(?:#|//|/?\*|--|<!--|\"\"\"|''')")


def _auth(file: FileDiff) -> Iterator[Signal]:
    path = PurePosixPath(file.path)
    if path.suffix.lower() not in _CODE or path.suffix.lower() in _PROSE:
        return
    found: set[str] = set()
    changed = [*_really(file.added, file.removed), *_really(file.removed, file.added)]
    for line in changed:
        # A longer line is no code that somebody wrote (minified, generated), and taking strings out
        # of it would take minutes.
        if len(line.text) > _LONGEST_LINE or _COMMENT.match(line.text):
            continue
        for subject, pattern in _AUTH:
            if subject not in found and pattern.search(_without_strings(line.text, subject)):
                found.add(subject)
                yield Signal("auth", subject, file.path, line.number)


def _without_strings(text: str, subject: str) -> str:
    """Code without long strings: a message that speaks of a rule is none."""
    if subject == "library":
        return text
    return re.sub(r"(['\"])(?:(?!\1).)*\s(?:(?!\1).)*\1", '""', text)


def _really(lines: Sequence[Line], others: Sequence[Line]) -> list[Line]:
    """Lines that are not merely moved or indented anew within the file."""
    elsewhere = {" ".join(line.text.split()) for line in others}
    return [line for line in lines if " ".join(line.text.split()) not in elsewhere]
