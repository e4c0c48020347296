"""Is an address this machine's own? Then a proxy that the environment names must not come between."""

import ipaddress

import httpx2


def is_here(base_url: str) -> bool:
    """Raises `httpx2.InvalidURL` for what is no address."""
    host = httpx2.URL(base_url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
