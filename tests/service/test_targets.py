"""Where webhooks may go: nowhere inside, however the address is written, and whatever a name leads to."""

import asyncio
import socket
import threading
from ipaddress import ip_address
from typing import Any

import pytest

from service import targets
from service.problems import WebhookUrlForbidden
from service.settings import Allowed, Settings
from service.targets import Names

NOBODY = Allowed()
HOSTS = {  # what the tests' name server answers
    "public.example.org": ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
    "loopback.example.org": ["127.0.0.1"],
    "private.example.org": ["10.1.2.3"],
    "half.example.org": ["93.184.215.14", "192.168.0.1"],
    "mapped.example.org": ["::ffff:10.0.0.1"],
    "nat64.example.org": ["64:ff9b::a00:1"],
    "dns64.example.org": ["64:ff9b::5db8:d70e"],
    "metadata.example.org": ["169.254.169.254"],
    "127.0.0.1.nip.io": ["127.0.0.1"],
}


def lookup(host: str, port: Any, **_: Any) -> list[Any]:
    """The tests' name server; addresses it takes as they are, as getaddrinfo does."""
    try:
        found = [str(ip_address(host))]
    except ValueError:
        if host == "away.example.org":
            raise socket.gaierror(socket.EAI_AGAIN, "try again") from None
        if host not in HOSTS:
            raise socket.gaierror(socket.EAI_NONAME, "no such name") from None
        found = HOSTS[host]
    return [(socket.AF_UNSPEC, socket.SOCK_STREAM, 0, "", (address, 0)) for address in found]


def check(url: str, allowed: Allowed = NOBODY) -> None:
    names = Names(lookup)
    try:
        asyncio.run(targets.check(url, names, allowed))
    finally:
        names.close()


ENCODINGS = {
    "loopback": "https://127.0.0.1/",
    "another loopback": "https://127.8.9.1/",
    "loopback, short": "https://127.1/",
    "loopback, shorter": "https://127.0.1/",
    "loopback, decimal": "https://2130706433/",
    "loopback, octal": "https://0177.0.0.1/",
    "loopback, all octal": "https://017700000001/",
    "loopback, hex": "https://0x7f000001/",
    "loopback, hex by parts": "https://0x7f.0x0.0x0.0x1/",
    "loopback, leading zeros": "https://127.000.000.001/",
    "loopback, overflowing": "https://127.0.0.257/",
    "loopback, a dot behind": "https://127.0.0.1./",
    "loopback, other digits": "https://①②⑦.⓪.⓪.①/",
    "loopback, other dots": "https://127。0。0。1/",
    "loopback, percent-encoded": "https://%31%32%37.0.0.1/",
    "loopback by name": "https://localhost/",
    "loopback by name, a dot behind": "https://localhost./",
    "loopback, below localhost": "https://a.localhost/",
    "loopback by a public name": "https://127.0.0.1.nip.io/",
    "loopback, IPv6": "https://[::1]/",
    "loopback, IPv6 in full": "https://[0:0:0:0:0:0:0:1]/",
    "loopback, mapped": "https://[::ffff:127.0.0.1]/",
    "loopback, mapped in hex": "https://[::ffff:7f00:1]/",
    "loopback, compatible": "https://[::127.0.0.1]/",
    "loopback, translated": "https://[::ffff:0:127.0.0.1]/",
    "loopback, 6to4": "https://[2002:7f00:1::]/",
    "loopback, NAT64": "https://[64:ff9b::7f00:1]/",
    "loopback, local NAT64": "https://[64:ff9b:1::7f00:1]/",
    "loopback, Teredo": "https://[2001:0:5db8:d70e:0:0:80ff:fffe]/",
    "loopback, ISATAP": "https://[2606:2800:21f::5efe:7f00:1]/",
    "unspecified": "https://0.0.0.0/",
    "unspecified, short": "https://0/",
    "unspecified, IPv6": "https://[::]/",
    "private, class A": "https://10.0.0.1/",
    "private, class B": "https://172.31.255.255/",
    "private, class C": "https://192.168.1.1/",
    "private by name": "https://private.example.org/",
    "private among public": "https://half.example.org/",
    "private, mapped by name": "https://mapped.example.org/",
    "private, NAT64 by name": "https://nat64.example.org/",
    "carrier's NAT": "https://100.64.0.1/",
    "unique local": "https://[fd12:3456:789a::1]/",
    "link-local": "https://169.254.0.1/",
    "link-local, IPv6": "https://[fe80::1]/",
    "link-local with a zone": "https://[fe80::1%25eth0]/",
    "site-local": "https://[fec0::1]/",
    "multicast": "https://224.0.0.1/",
    "multicast, IPv6": "https://[ff02::1]/",
    "broadcast": "https://255.255.255.255/",
    "reserved": "https://240.0.0.1/",
    "benchmarks": "https://198.18.0.1/",
    "documentation": "https://203.0.113.7/",
    "documentation, IPv6": "https://[2001:db8::1]/",
    "not given out": "https://[4000::1]/",
    "metadata": "https://169.254.169.254/latest/meta-data/",
    "metadata, decimal": "https://2852039166/",
    "metadata, hex": "https://0xA9FEA9FE/",
    "metadata, mapped": "https://[::ffff:a9fe:a9fe]/",
    "metadata, AWS IPv6": "https://[fd00:ec2::254]/",
    "metadata, Alibaba": "https://100.100.100.200/",
    "metadata, Oracle": "https://192.0.0.192/",
    "metadata, Azure's host": "https://168.63.129.16/",
    "metadata by Google's name": "https://metadata.google.internal/",
    "metadata by a public name": "https://metadata.example.org/",
    "a container's name": "https://redis/",
    "a name for printers": "https://printer.local/",
    "no such name": "https://nowhere.example.org/",
    "user": "https://public.example.org@127.0.0.1/",
    "user and password": "https://user:secret@public.example.org/",
    "user that looks like a host": "https://127.0.0.1:443@public.example.org/",
    "user behind a backslash": "https://127.0.0.1\\@public.example.org/",
    "backslash": "https://public.example.org\\.127.0.0.1/",
    "fragment": "https://public.example.org#@127.0.0.1/",
    "tab": "https://127.0.0.1\t.example.org/",
    "new line": "https://public.example.org/\r\nHost: redis",
    "null": "https://127.0.0.1\0.example.org/",
    "space": " https://public.example.org/",
    "empty label": "https://public..example.org/",
    "empty host": "https:///path",
    "empty port": "https://public.example.org:/",
    "no slashes": "https:public.example.org",
    "one slash": "https:/127.0.0.1/",
    "no scheme": "//public.example.org/",
    "http": "http://public.example.org/",
    "ftp": "ftp://public.example.org/",
    "file": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1:6379/_FLUSHALL",
    "unix": "unix:///var/run/docker.sock",
    "data": "data:text/plain,hello",
    "javascript": "javascript:alert(1)",
    "upper case": "HTTPS://LOCALHOST/",
    "Redis' port, name servers away": "https://away.example.org:6379/",
    "Redis' port": "https://public.example.org:6379/",
    "SSH's port": "https://public.example.org:22/",
    "port 0": "https://public.example.org:0/",
    "port beyond all": "https://public.example.org:65979/",  # 443 in 16 bits
    "an address with a zone": "https://[::1%25lo]/",
    "an open bracket": "https://[::1/",
    "brackets about a name": "https://[localhost]/",
    "IPv4 in brackets": "https://[127.0.0.1]/",
    "nothing": "",
    "too long": "https://public.example.org/" + "a" * 2_000,
}


@pytest.mark.parametrize("url", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_forbidden(url: str) -> None:
    """No way to write a forbidden address is taken, and each refusal says what to do instead."""
    with pytest.raises(WebhookUrlForbidden) as refused:
        check(url)
    assert refused.value.detail.endswith(".")


PUBLIC = {
    "a name": "https://public.example.org/hook?token=a%20b",
    "no path": "https://public.example.org",
    "a query alone": "https://public.example.org?a=1",
    "upper case": "HTTPS://Public.Example.ORG/Hook",
    "the other port": "https://public.example.org:8443/",
    "an address": "https://93.184.215.14/",
    "an IPv6 address": "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:8443/",
    "mapped": "https://[::ffff:93.184.215.14]/",
    "behind NAT64": "https://dns64.example.org/",
    "name servers away": "https://away.example.org/",
}


@pytest.mark.parametrize("url", PUBLIC.values(), ids=PUBLIC.keys())
def test_public(url: str) -> None:
    """What is public is taken; so is a name that nobody can look up just now, for it is judged again."""
    check(url)


def test_private_and_missing_names_look_alike() -> None:
    """The refusal does not tell whether a name of the inner network exists."""
    told = []
    for host in ("private.example.org", "nowhere.example.org"):
        with pytest.raises(WebhookUrlForbidden) as refused:
            check(f"https://{host}/")
        told.append(refused.value.detail.replace(host, ""))
    assert told[0] == told[1]


@pytest.mark.parametrize("host", ["redis", "localhost", "a.localhost", "metadata.google.internal", "nas.local"])
def test_local_names_need_no_lookup(host: str) -> None:
    """Names of local networks are refused although no name server can be asked just now."""
    with pytest.raises(WebhookUrlForbidden):
        targets.read(f"https://{host}/", NOBODY)


ALLOWED = Allowed.read("10.0.0.0/8, Redis, hooks.corp, fd00::/8")


@pytest.mark.parametrize(
    "url",
    [
        "http://10.9.8.7:8080/",
        "https://private.example.org/",
        "http://private.example.org:9000/hook",
        "http://redis:1234/",
        "https://hooks.corp/",
        "http://[fd00::7]/",
        "https://public.example.org/",
    ],
)
def test_allowed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who runs the service may allow networks and hosts: on any port, and over http."""
    monkeypatch.setitem(HOSTS, "redis", ["172.17.0.2"])
    monkeypatch.setitem(HOSTS, "hooks.corp", ["127.0.0.1"])
    check(url, ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "http://public.example.org/",
        "http://public.example.org:443/",
        "https://public.example.org:9000/",
        "http://93.184.215.14/",
        "https://192.168.0.1/",
        "https://half.example.org/",
        "https://redis.corp/",
        "https://[::ffff:10.0.0.1]/",
    ],
)
def test_allowing_some_allows_no_others(url: str) -> None:
    """What was not allowed stays forbidden."""
    with pytest.raises(WebhookUrlForbidden):
        check(url, ALLOWED)


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "https://a.b/", "*.corp", "10.0.0", "a b"])
def test_a_setting_that_is_nonsense_is_refused(text: str) -> None:
    """A network or host that cannot be read stops the service at its start, and is named."""
    with pytest.raises(ValueError, match="neither a network"):
        Settings(webhook_allow=text)


def test_lookups_of_one_name_are_one() -> None:
    """A name server that hangs holds one thread for each name, however many ask; other names are answered."""
    asked: list[str] = []
    go_on = threading.Event()

    def slow(host: str, port: Any, **_: Any) -> list[Any]:
        asked.append(host)
        if host == "slow.example.org":
            go_on.wait(60)
        return lookup("public.example.org", port)

    async def ask() -> None:
        waiting = [asyncio.ensure_future(names.addresses("slow.example.org")) for _ in range(40)]
        others = await asyncio.gather(*(names.addresses(f"{number}.example.org") for number in range(10)))
        assert all(len(found) == 2 for found in others)
        assert not any(one.done() for one in waiting)
        go_on.set()
        await asyncio.gather(*waiting)

    names = Names(slow)
    asyncio.run(ask())
    names.close()
    assert asked.count("slow.example.org") == 1
