"""What a webhook may be sent to, in every spelling we know."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.notify.errors import TargetForbidden
from waybill.notify.webhook.egress import EgressPolicy, Target, refusal

PUBLIC = EgressPolicy()
PRIVATE = EgressPolicy(allow_http=True, allow_private_networks=True)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://hooks.example.com", Target("https", "hooks.example.com", 443, "/")),
        ("HTTPS://Hooks.Example.COM/A?b=c", Target("https", "hooks.example.com", 443, "/A?b=c")),
        ("https://hooks.example.com:8443/x", Target("https", "hooks.example.com", 8443, "/x")),
        ("https://hooks.example.com?x=1", Target("https", "hooks.example.com", 443, "/?x=1")),
        ("https://hooks.example.com/a@b", Target("https", "hooks.example.com", 443, "/a@b")),
        (
            "https://xn--bcher-kva.example/%20",
            Target("https", "xn--bcher-kva.example", 443, "/%20"),
        ),
        ("https://1.example.com/", Target("https", "1.example.com", 443, "/")),
        ("https://8.8.8.8/", Target("https", "8.8.8.8", 443, "/")),
        ("https://[2606:4700::1111]/", Target("https", "2606:4700::1111", 443, "/")),
    ],
)
def test_public_url_is_taken_apart(url: str, target: Target) -> None:
    assert PUBLIC.parse(url) == target


def test_host_header_has_brackets_and_port_where_needed() -> None:
    assert PUBLIC.parse("https://[2606:4700::1111]:8443/").authority == "[2606:4700::1111]:8443"
    assert PUBLIC.parse("https://hooks.example.com/").authority == "hooks.example.com"


FORBIDDEN_URLS = [
    # loopback, spelled in every way inet_aton and browsers read
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://0x7f000001/",
    "https://0x7f.0x0.0x0.0x1/",
    "https://0x7f.1/",
    "https://0X7F.1/",
    "https://127.0.0.01/",
    "https://127.000.000.001/",
    "https://00000000177.0.0.1/",
    "https://127.0.0.1./",
    "https://0/",
    "https://0.0.0.0/",
    "https://127.0.0.257/",
    "https://4294967296/",
    "https://0x/",
    # names of local networks
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://localhost.localdomain/",
    "https://anything.localhost/",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://router.home.arpa/",
    "https://redis/",
    # private, shared, link-local and metadata addresses
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://100.100.100.200/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://169.254.170.2/",
    "https://168.63.129.16/",
    "https://192.0.0.192/",
    "https://198.18.0.1/",
    "https://192.0.2.1/",
    "https://203.0.113.9/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    # IPv6: loopback, unspecified, local, multicast, documentation
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[0000:0000:0000:0000:0000:0000:0000:0001]/",
    "https://[::]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[100::1]/",
    # IPv4 inside IPv6
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[0:0:0:0:0:ffff:10.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[::7f00:1]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:a9fe:a9fe::]/",
    "https://[2002:0808:0808::]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::8.8.8.8]/",
    "https://[2001:0:7f00:1::1]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "https://[2606:4700::200:5efe:7f00:1]/",
    "https://[2606:4700::5efe:10.0.0.1]/",
    # user information and other ways to make two parsers disagree
    "https://hooks.example.com@127.0.0.1/",
    "https://user:password@hooks.example.com/",
    "https://127.0.0.1#@hooks.example.com/",
    "https://hooks.example.com#fragment",
    "https://127.0.0.1\\@hooks.example.com/",
    "https:\\\\127.0.0.1/",
    "https:/127.0.0.1/",
    "https:127.0.0.1",
    "//127.0.0.1/",
    "https://%31%32%37.0.0.1/",
    "https://127.0.0.1%2f@hooks.example.com/",
    "https://hooks.example.com%00.attacker.example/",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://ⓛocalhost/",
    "https://bücher.example/",
    "https://hooks.example.com/ü",
    "https://hooks..example.com/",
    "https://.example.com/",
    "https://-hooks.example.com/",
    "https://hooks.example.com./",
    "https://" + "a" * 64 + ".example.com/",
    "https://" + "a." * 127 + "example/",
    "https://[::1/",
    "https://[]/",
    "https://[127.0.0.1]/",
    "https:///path",
    "https://",
    "",
    # white space and control characters
    " https://hooks.example.com/",
    "https://hooks.example.com/ ",
    "https://hooks.example.com/a b",
    "https://hooks.example.com/\r\nX-Injected: 1",
    "https://hooks.example.com\t/",
    "https://hooks.example.com/\x00",
    # schemes
    "http://hooks.example.com/",
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "unix:///var/run/docker.sock",
    "javascript:alert(1)",
    # ports
    "https://hooks.example.com:0/",
    "https://hooks.example.com:22/",
    "https://hooks.example.com:25/",
    "https://hooks.example.com:5432/",
    "https://hooks.example.com:6379/",
    "https://hooks.example.com:11211/",
    "https://hooks.example.com:65536/",
    "https://hooks.example.com:99999/",
    "https://hooks.example.com:443:80/",
    "https://hooks.example.com:+443/",
    "https://hooks.example.com:４４３/",
    "https://hooks.example.com:/",
]


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
def test_forbidden_spelling_is_refused(url: str) -> None:
    with pytest.raises(TargetForbidden):
        PUBLIC.parse(url)


@pytest.mark.parametrize(
    "url",
    ["https://user:hunter2@hooks.example.com/", "https://hooks.example.com/hunter2#x"],
)
def test_refusal_does_not_quote_the_url(url: str) -> None:
    with pytest.raises(TargetForbidden) as refused:
        PUBLIC.parse(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:34567/", "http://localhost:8080/", "https://[::1]/", "http://redis/"]
)
def test_private_network_is_reached_when_allowed(url: str) -> None:
    PRIVATE.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
        "http://0.0.0.0/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://127.0.0.1:6379/",
        "http://2130706433/",
    ],
)
def test_metadata_stays_refused_when_private_networks_are_allowed(url: str) -> None:
    with pytest.raises(TargetForbidden):
        PRIVATE.parse(url)


@pytest.mark.parametrize(
    "answers",
    [
        [],
        ["127.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],
        ["127.0.0.1", "93.184.216.34"],
        ["93.184.216.34", "::1"],
        ["2606:4700::1111", "::ffff:10.0.0.1"],
        ["fe80::1%eth0"],
        ["not an address"],
    ],
)
def test_name_with_one_forbidden_answer_is_refused(answers: list[str]) -> None:
    with pytest.raises(TargetForbidden):
        PUBLIC.check(answers)


def test_public_answers_are_returned_once_each_in_order() -> None:
    answers = ["2606:4700::1111", "93.184.216.34", "2606:4700::1111"]
    assert [str(a) for a in PUBLIC.check(answers)] == ["2606:4700::1111", "93.184.216.34"]


@pytest.mark.parametrize("address", ["::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_translated_public_address_is_judged_by_what_is_inside(address: str) -> None:
    assert refusal(ipaddress.ip_address(address)) is None


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("hooks.example.com", True),
        ("a.example.org", True),
        ("a.b.example.org", True),
        ("example.org", False),
        ("badexample.org", False),
        ("hooks.example.com.attacker.example", False),
        ("8.8.8.8", False),
    ],
)
def test_host_outside_the_list_is_refused(host: str, allowed: bool) -> None:
    policy = EgressPolicy(allowed_hosts=["Hooks.example.com", "*.example.org"])
    if allowed:
        assert policy.parse(f"https://{host}/").host == host
    else:
        with pytest.raises(TargetForbidden, match="allowed hosts"):
            policy.parse(f"https://{host}/")


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_that_python_calls_local_is_reached(
    address: ipaddress.IPv4Address,
) -> None:
    if not address.is_global or address.is_multicast:
        assert refusal(address) is not None


@given(
    st.one_of(
        st.ip_addresses(v=6),
        st.ip_addresses(v=6, network="2001::/23"),
        st.ip_addresses(v=6, network="fc00::/7"),
        st.ip_addresses(v=6, network="fe80::/10"),
        st.ip_addresses(v=6, network="::/64"),
    )
)
def test_no_ipv6_address_that_python_calls_local_is_reached(
    address: ipaddress.IPv6Address,
) -> None:
    inside = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.ipv4_mapped or address in ipaddress.IPv6Network("64:ff9b::/96"):
        assert refusal(address) == refusal(inside)
    elif not address.is_global or address.is_multicast or address.is_reserved:
        assert refusal(address) is not None


@given(st.ip_addresses(v=4))
def test_ipv4_inside_ipv6_is_never_more_reachable_than_outside(
    address: ipaddress.IPv4Address,
) -> None:
    if refusal(address) is None:
        return
    for prefix in ("::ffff:0:0", "64:ff9b::", "64:ff9b:1::", "::", "::ffff:0:0:0"):
        embedded = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(address))
        assert refusal(embedded) is not None
    six_to_four = ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80))
    assert refusal(six_to_four) is not None


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://hooks.example.com/{text}"):
        try:
            target = PUBLIC.parse(url)
        except TargetForbidden:
            continue
        assert target.scheme == "https"
        assert all(0x20 < ord(c) < 0x7F for c in target.host + target.path_and_query)
