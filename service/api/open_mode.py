"""Where no key is needed, the browsers of this machine must not be made to call: pages from elsewhere run in them."""

from urllib.parse import urlsplit

from fastapi import Request

from service import problems
from service.api.admission import READING
from service.settings import is_loopback

PROXIED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "via")
HOW = "Call http://127.0.0.1 or http://localhost, or set LESION_KEYS=required and send a key."


def guard(request: Request) -> None:
    """Raise `Forbidden` for what no program of this machine sends by itself.

    A name that resolves to us only now and then (DNS rebinding) comes as the Host; a page of another site is named by
    the browser in Sec-Fetch-Site or Origin; a proxy that lets others in says so.
    """
    host = request.headers.get("host", "")
    if not is_loopback(_name(host)):
        raise problems.Forbidden(f"Without keys, no request to the name {host[:100]!r} is answered. {HOW}")
    if any(name in request.headers for name in PROXIED):
        raise problems.Forbidden(f"Without keys, no request that came through a proxy is answered. {HOW}")
    if request.method in READING:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign = site not in ("same-origin", "none") if site else origin is not None and urlsplit(origin).netloc != host
    if foreign:
        raise problems.Forbidden(
            "Without keys, pages of other sites may change nothing here. Send the request yourself."
        )


def _name(host: str) -> str:
    """The Host header without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
