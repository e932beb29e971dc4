"""A certificate that the parts of one program show each other, and nobody else has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from waybill.local.ports import LOOPBACK
from waybill.private_files import write_private

CA_FILE: Final = "ca.crt"
CERTIFICATE_FILE: Final = "node.crt"
KEY_FILE: Final = "node.key"

_LIFE: Final = timedelta(days=365)
_RENEWED_BEFORE: Final = timedelta(days=180)
_CLOCK_SKEW: Final = timedelta(days=1)


def ensure_certificate(directory: Path) -> None:
    """Have a certificate in ``directory`` that holds for months, for both ends of a connection.

    Its authority signs it and no other: the authority's key is thrown away at once, so whoever
    trusts ``ca.crt`` alone trusts this certificate alone.
    """
    if _holds(directory):
        return
    now = datetime.now(UTC)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = _name("waybill local authority")

    def builder(
        subject: x509.Name, public_key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCK_SKEW)
            .not_valid_after(now + _LIFE)
        )

    authority = (
        builder(authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        builder(_name("waybill local"), key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ip_address(LOOPBACK)), x509.DNSName("localhost")]
            ),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    for name, content in (
        (KEY_FILE, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
        (CERTIFICATE_FILE, certificate.public_bytes(Encoding.PEM)),
        (CA_FILE, authority.public_bytes(Encoding.PEM)),
    ):
        write_private(directory / name, content.decode("ascii"))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _holds(directory: Path) -> bool:
    """Whether all three files are there and of one making, for months to come."""
    try:
        key = (directory / KEY_FILE).read_bytes()
        certificate = x509.load_pem_x509_certificate((directory / CERTIFICATE_FILE).read_bytes())
        authority = x509.load_pem_x509_certificate((directory / CA_FILE).read_bytes())
        certificate.verify_directly_issued_by(authority)
    except Exception:
        return False
    return bool(key) and certificate.not_valid_after_utc > datetime.now(UTC) + _RENEWED_BEFORE
