"""Where webhooks may go: the form of a URL, and the addresses behind its name. Going there is courier.py's."""

import asyncio
import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from service.problems import WebhookUrlForbidden
from service.settings import HOST, Allowed

LONGEST = 2_000  # characters of a URL
PORTS = frozenset({443, 8443})
LOOKUPS = 32  # at once; a name server that hangs holds one of them for each name
LOOKUP_SECONDS = 3.0

Address = IPv4Address | IPv6Address

# Whatever this does not match is refused, so that nothing depends on how some other parser would have read it.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?"
    r"(?P<path>[/?][A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]*)?"
)
_USERINFO = re.compile(r"[^/?#]*//[^/?#]*@")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Names that mean something on a local network alone: RFC 6761, 6762, 8375, and what ICANN never gives away.
_LOCAL = frozenset(
    "localhost local localdomain internal intranet private corp home lan arpa test invalid onion".split()
)

# Not Python's is_global: what that says of embedded and newly reserved addresses depends on the Python.
_REFUSED_4 = tuple(
    ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # looks public; Azure's machines find their own host's services there
    )
)
_UNICAST_6 = ip_network("2000::/3")  # all that IANA has given out
_REFUSED_6 = tuple(ip_network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
_NAT64 = ip_network("64:ff9b::/96")
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})


@dataclass(frozen=True)
class Target:
    """A URL, taken apart once; what connects is given these parts and not the URL."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """What may be logged: path and query may hold a token."""
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}"

    @property
    def authority(self) -> str:
        """The Host header."""
        usual = {"https": 443, "http": 80}[self.scheme]
        return _bracketed(self.host) + ("" if self.port == usual else f":{self.port}")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def public(address: Address) -> bool:
    """Is it one machine's address on the public internet, whatever is embedded in it?"""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_4)
    if address.ipv4_mapped is not None:
        return public(address.ipv4_mapped)
    if address in _NAT64:  # what a DNS64 answers where there is no IPv4
        return public(_low_bits(address))
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return False
    return address in _UNICAST_6 and not any(address in network for network in _REFUSED_6)


def _low_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFF_FFFF)


def read(url: str, allowed: Allowed) -> Target:
    """Take a URL apart; raises `WebhookUrlForbidden` for what needs no look-up to be refused."""
    found = _URL.fullmatch(url)
    if found is None or len(url) > LONGEST:
        if _USERINFO.match(url):
            raise WebhookUrlForbidden("Leave user and password out of the URL; deliveries are signed instead.")
        raise WebhookUrlForbidden(
            f"Give the URL as https://HOST/PATH in plain ASCII, up to {LONGEST} characters, without a fragment; names "
            "in other scripts as xn--…, other characters of the path percent-encoded."
        )
    scheme, host = found["scheme"].lower(), found["host"].lower()
    if scheme != "https" and not (scheme == "http" and (allowed.hosts or allowed.networks)):
        raise WebhookUrlForbidden("Webhooks go over https alone: let the URL begin with https://.")
    path = found["path"] or "/"
    port = int(found["port"] or {"https": 443, "http": 80}[scheme])
    target = Target(scheme, host.strip("[]"), port, path if path.startswith("/") else f"/{path}")
    literal = _literal(host)
    if literal is not None:
        _judge(target, literal, allowed)
    elif host not in allowed.hosts:
        if "." not in host or host.rpartition(".")[2] in _LOCAL:
            raise WebhookUrlForbidden(f"{host} is a name of a local network. {_ASK}")
        if not allowed.networks:
            _check_port(target)
    return target


def _literal(host: str) -> Address | None:
    """The address that a host is, or None if it is a name; raises for all that is neither one plainly."""
    if host.startswith("["):
        try:
            return IPv6Address(host[1:-1])
        except ValueError:
            raise WebhookUrlForbidden(f"{host} is no IPv6 address.") from None
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        try:
            return IPv4Address(host)
        except ValueError:
            raise WebhookUrlForbidden(
                f"{host} is a number that programs read differently; write an IPv4 address as four decimal numbers."
            ) from None
    if not HOST.fullmatch(host) or len(host) > 253:
        raise WebhookUrlForbidden(f"{host} is no host name; write it with single dots and none at the end.")
    return None


_ASK = "Webhooks go to public addresses; whoever runs the service can allow others with LESION_WEBHOOK_ALLOW."


def _judge(target: Target, address: Address, allowed: Allowed) -> None:
    if allowed.address(address) or target.host in allowed.hosts:
        return
    if not public(address):
        # The same words for a private address and for a name that is not there: nobody maps our network with them.
        raise WebhookUrlForbidden(f"{target.host} is not, or does not lead to, a public address. {_ASK}")
    if target.scheme != "https":
        raise WebhookUrlForbidden("Webhooks go over https alone: let the URL begin with https://.")
    _check_port(target)


def _check_port(target: Target) -> None:
    if target.port not in PORTS:
        ports = " and ".join(map(str, sorted(PORTS)))
        raise WebhookUrlForbidden(f"Webhooks go to the ports {ports}, not to {target.port}.")


class Names:
    """Looks names up, in threads of its own: at most one for a name, so that a slow one keeps none from the others."""

    def __init__(self, lookup: Callable[..., Any] = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="names")
        self._under_way: dict[str, asyncio.Future[list[Address]]] = {}

    async def addresses(self, host: str) -> list[Address]:
        """All addresses of a host, each once. Raises `socket.gaierror`, or `TimeoutError` after a few seconds."""
        if host not in self._under_way:
            asked = asyncio.get_running_loop().run_in_executor(self._threads, self._ask, host)
            self._under_way[host] = asked
            asked.add_done_callback(lambda done: self._answered(host, done))
        async with asyncio.timeout(LOOKUP_SECONDS):
            return await asyncio.shield(self._under_way[host])

    def _ask(self, host: str) -> list[Address]:
        found = self._lookup(host, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(ip_address(address[0]) for *_, address in found))

    def _answered(self, host: str, done: "asyncio.Future[list[Address]]") -> None:
        del self._under_way[host]
        if not done.cancelled():
            done.exception()  # whoever asked may have gone; asyncio would complain that nobody looked

    def close(self) -> None:
        """Ask nothing more; to be called where it was asked."""
        for asked in self._under_way.values():
            asked.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)


async def judged(target: Target, names: Names, allowed: Allowed) -> list[Address]:
    """The addresses to connect to, every one judged; raises `WebhookUrlForbidden` if any is forbidden."""
    addresses = await names.addresses(target.host)
    for address in addresses:
        _judge(target, address, allowed)
    return addresses


async def check(url: str, names: Names, allowed: Allowed) -> None:
    """Refuse a URL that no webhook could be sent to; raises `WebhookUrlForbidden`.

    A name that cannot be looked up just now is taken: it is judged again, at each delivery.
    """
    target = read(url, allowed)
    try:
        await judged(target, names, allowed)
    except TimeoutError:
        pass
    except (OSError, UnicodeError) as error:
        if not (isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN):
            raise WebhookUrlForbidden(f"{target.host} is not, or does not lead to, a public address. {_ASK}") from None
