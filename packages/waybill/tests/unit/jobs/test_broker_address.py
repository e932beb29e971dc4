"""Addresses of brokers: what each of the schemes says, and what is refused without a quotation."""

from __future__ import annotations

import ssl

import pytest

from waybill.errors import ConfigurationError
from waybill.jobs.broker import read_address

_VERIFIED = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}


def test_tls_to_sentinels_is_verified_unless_the_address_says_not() -> None:
    there = "://:pw@a,b:26380/2"
    assert read_address(f"sentinel{there}", "ours").tls is None
    guarded = read_address(f"sentinels{there}?ssl_ca_certs=/etc/ca.pem", "ours")
    assert guarded.tls == {**_VERIFIED, "ssl_ca_certs": "/etc/ca.pem"}
    assert guarded.sentinels == (("a", 26379), ("b", 26380))
    assert guarded.url == "rediss://:pw@a:26379/2"
    # As Celery writes them.
    assert read_address("sentinels://:pw@a:26379;sentinels://b:26380/2", "ours").sentinels == (
        guarded.sentinels
    )
    careless = read_address(f"sentinels{there}?ssl_cert_reqs=none&master_name=ours").tls
    assert careless == {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False}


@pytest.mark.parametrize(
    "url",
    [
        "amqp://guest:s3cret@host//",
        "mysql://root:s3cret@host/0",
        "sqs://key:s3cret@",
        "redis+cluster://:s3cret@host:6379/0",
        "s3cret",
        "sentinel://:s3cret@a:26379/0?ssl_ca_certs=/etc/ca.pem",
        "sentinels://:s3cret@a:26379/0?ssl_unknown=1",
        "redis://:s3cret@host:6379/0?ssl_cert_reqs=none",
    ],
)
def test_another_scheme_or_option_is_one_sentence_without_the_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="WAYBILL_REDIS_URL must be") as refused:
        read_address(url, "ours")
    assert "s3cret" not in str(refused.value)
