"""The courier connects to judged addresses alone, over verified TLS, and is held up by no receiver."""

import asyncio
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from service import courier
from service.courier import Answer, Courier
from service.settings import Allowed
from service.targets import Names
from tests.service.receivers import NAME, Asked, Authority, Behaviour, Receiver, loopback, receiving, takes

HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"  # the tests allow the first and forbid the second
ALLOWED = Allowed.read(HERE)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Vouches for the receiver's name and address."""
    made = Authority(tmp_path)
    made.issue(NAME, HERE)
    return made


class Resolver:
    """A name server that answers the same name with one list of addresses after the other; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: Any, **_: Any) -> list[Any]:
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return [(socket.AF_UNSPEC, socket.SOCK_STREAM, 0, "", (address, 0)) for address in found]


class Sender:
    """Posts as the service does."""

    def __init__(self, resolver: Resolver, allowed: Allowed = ALLOWED, ca: Path | None = None) -> None:
        self.names = Names(resolver)
        self.courier = Courier(self.names, allowed, courier.trusting(ca))

    def post(self, url: str, body: bytes = b"{}") -> Answer:
        return asyncio.run(self.courier.post(url, {"content-type": "application/json", "webhook-id": "dl_1"}, body))


@pytest.fixture
def receiver(authority: Authority) -> Iterator[Receiver]:
    with receiving(Receiver(context=authority.context)) as started:
        yield started


def post(receiver: Receiver, authority: Authority, behaviour: Behaviour, path: str = "/hook") -> Answer:
    receiver.behaviour = behaviour
    return Sender(Resolver([HERE]), ca=authority.ca).post(f"https://{NAME}:{receiver.port}{path}")


def test_post_arrives(receiver: Receiver, authority: Authority) -> None:
    """Body, headers, path and query arrive; the Host header and TLS name the name and not the address."""
    assert post(receiver, authority, takes, "/hook?a=1") == Answer(204)
    (one,) = receiver.posts
    assert (one.path, one.body) == ("/hook?a=1", b"{}")
    assert one.headers["host"] == f"{NAME}:{receiver.port}"
    assert one.headers["webhook-id"] == "dl_1"
    assert one.headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [200, 204, 400, 404, 410, 429, 500, 503])
def test_status_is_brought_back(receiver: Receiver, authority: Authority, status: int) -> None:
    """Any status is an answer; those of 2xx mean that it was taken."""
    answer = post(receiver, authority, lambda asked: asked.answer(status))
    assert (answer.status, answer.taken) == (status, status < 300)


def test_redirects_are_not_followed(receiver: Receiver, authority: Authority) -> None:
    """A receiver cannot send us to where it could not have had us sent in the first place."""
    with receiving(Receiver(address=loopback())) as inner:
        place = f"http://{inner.address}:{inner.port}/latest/meta-data/"
        answer = post(receiver, authority, lambda asked: asked.answer(307, {"location": place}))
        assert (answer.status, answer.taken) == (307, False)
        assert "redirect" in str(answer.error)
        assert inner.connections == 0
    assert len(receiver.posts) == 1


def test_rebinding_reaches_nothing(receiver: Receiver, authority: Authority) -> None:
    """A name is looked up once for each request, and what was judged is what is connected to."""
    resolver = Resolver([HERE], [ELSEWHERE])
    sender = Sender(resolver, ca=authority.ca)
    with receiving(Receiver(address=ELSEWHERE, wanted_port=receiver.port, context=authority.context)) as inner:
        url = f"https://{NAME}:{receiver.port}/"
        assert sender.post(url).taken
        assert resolver.asked == 1
        again = sender.post(url)
        assert (again.status, resolver.asked) == (None, 2)
        assert "public" in str(again.error)
        assert inner.connections == 0
    assert len(receiver.posts) == 1


def test_rebinding_without_exceptions_reaches_nothing() -> None:
    """With nothing allowed, a name that was public when it was registered leads nowhere once it is 127.0.0.1's."""
    with receiving(Receiver(address=loopback(), wanted_port=8443)) as inner:
        resolver = Resolver([inner.address])
        answer = Sender(resolver, Allowed()).post(f"https://{NAME}:8443/")
        assert answer.status is None
        assert "public" in str(answer.error)
        assert (resolver.asked, inner.connections) == (1, 0)


def test_one_forbidden_address_forbids_the_name(receiver: Receiver, authority: Authority) -> None:
    """All addresses of a name are judged, not just the one that would be taken."""
    answer = Sender(Resolver([HERE, ELSEWHERE]), ca=authority.ca).post(f"https://{NAME}:{receiver.port}/")
    assert answer.status is None
    assert receiver.connections == 0


def test_next_address_is_tried(receiver: Receiver, authority: Authority) -> None:
    """A name with an address where nobody listens is reached by its next one."""
    nobody = loopback()
    allowed = Allowed.read(f"{HERE},{nobody}")
    assert Sender(Resolver([nobody, HERE]), allowed, authority.ca).post(f"https://{NAME}:{receiver.port}/").taken


def test_proxies_of_the_environment_are_ignored(
    receiver: Receiver, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would look the name up once more, and connect to what nobody judged."""
    with receiving(Receiver()) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert post(receiver, authority, takes).taken
        assert proxy.connections == 0


def test_certificate_must_be_of_a_known_authority(receiver: Receiver) -> None:
    """Nothing is sent to a receiver whose certificate nobody vouches for."""
    answer = Sender(Resolver([HERE])).post(f"https://{NAME}:{receiver.port}/")
    assert "certificate" in str(answer.error)
    assert receiver.posts == []


def test_certificate_must_name_the_host(receiver: Receiver, authority: Authority) -> None:
    """Nor to one whose certificate is another's."""
    answer = Sender(Resolver([HERE]), ca=authority.ca).post(f"https://other.{NAME}:{receiver.port}/")
    assert "certificate" in str(answer.error)
    assert receiver.posts == []


def test_addresses_have_certificates_too(receiver: Receiver, authority: Authority) -> None:
    """A URL with an address instead of a name is verified against that address."""
    assert Sender(Resolver([HERE]), ca=authority.ca).post(f"https://{HERE}:{receiver.port}/").taken


def test_http_goes_where_it_is_allowed() -> None:
    """In-house receivers without TLS can be reached once they are allowed, and only then."""
    with receiving(Receiver()) as plain:
        url = f"http://{HERE}:{plain.port}/"
        assert Sender(Resolver([HERE])).post(url).taken
        assert Sender(Resolver([HERE]), Allowed()).post(url).error is not None
        assert plain.connections == 1


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The courier's patience, shortened."""
    monkeypatch.setattr(courier, "SECONDS", 0.5)


def silent(asked: Asked) -> None:
    asked.server.released.wait(60)


def dripping(asked: Asked) -> None:
    asked.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not asked.server.released.wait(0.05):
        asked.wfile.write(b"x-more: 1\r\n")
        asked.wfile.flush()


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("behaviour", [silent, dripping])
def test_slow_receivers_are_left(receiver: Receiver, authority: Authority, behaviour: Behaviour) -> None:
    """The time for an answer is one sum, which a receiver cannot stretch by dripping."""
    answer = post(receiver, authority, behaviour)
    assert answer.status is None
    assert "no answer within" in str(answer.error)


@pytest.mark.usefixtures("hurried")
def test_slow_name_servers_are_left() -> None:
    """Looking the name up counts too."""
    hold = asyncio.Event()

    async def ask() -> Answer:
        class Never(Names):
            async def addresses(self, host: str) -> Any:
                await hold.wait()

        return await Courier(Never(), ALLOWED, courier.trusting(None)).post(f"https://{NAME}/", {}, b"")

    assert "no answer within" in str(asyncio.run(ask()).error)


@pytest.mark.usefixtures("hurried")
def test_who_answered_has_answered(receiver: Receiver, authority: Authority) -> None:
    """A status counts although the body behind it never ends."""

    def stuck(asked: Asked) -> None:
        asked.send_response(200)
        asked.send_header("content-length", "10")
        asked.end_headers()
        asked.wfile.flush()
        asked.server.released.wait(60)

    assert post(receiver, authority, stuck).taken


def test_long_answers_are_cut(receiver: Receiver, authority: Authority) -> None:
    """Of 1 GiB of answer, no more is read than the beginning; that it was taken still counts."""
    written: list[int] = []
    size, piece = 1024**3, b"x" * 2**16

    def endless(asked: Asked) -> None:
        asked.send_response(200)
        asked.send_header("content-length", str(size))
        asked.end_headers()
        sent = 0
        try:
            while sent < size:
                asked.wfile.write(piece)
                sent += len(piece)
        except OSError:
            pass
        finally:
            written.append(sent)
            asked.server.released.set()

    assert post(receiver, authority, endless).taken
    assert receiver.released.wait(60), "the connection was not cut"
    assert written[0] < 32 * 1024**2  # what kernels buffer between the two


def test_endless_headers_are_cut(receiver: Receiver, authority: Authority) -> None:
    """Headers without end are no answer, and end no process."""

    def chatty(asked: Asked) -> None:
        asked.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(100_000):
            asked.wfile.write(b"x-more: " + b"1" * 100 + b"\r\n")

    assert post(receiver, authority, chatty).error == "Its answer was no HTTP."


def test_nobody_there() -> None:
    """A receiver that is down is an error like others, without words of libraries."""
    with socket.create_server((HERE, 0)) as free:
        port = free.getsockname()[1]
    assert Sender(Resolver([HERE])).post(f"https://{NAME}:{port}/secret").error == "It could not be connected to."


def test_no_tls_there() -> None:
    """Nor is one that speaks something else."""
    with receiving(Receiver()) as plain:
        answer = Sender(Resolver([HERE])).post(f"https://{NAME}:{plain.port}/")
    assert answer.status is None
    assert answer.error in ("It does not speak TLS as it should.", "It could not be connected to.")


def test_hanging_up_is_no_answer(receiver: Receiver, authority: Authority) -> None:
    """A receiver that closes the connection has taken nothing."""

    def hangs_up(asked: Asked) -> None:
        asked.close_connection = True

    answer = post(receiver, authority, hangs_up)
    assert answer.status is None
    assert answer.error


def test_name_that_leads_nowhere() -> None:
    """A name server that does not know, or is away, is an error of this one attempt."""
    assert Sender(Resolver([])).post(f"https://{NAME}:8443/").error == "Its name leads to no address."


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("120", 120, 120),
        (" 7 ", 7, 7),
        ("99999999999999999999", 999_999_999, 999_999_999),
        ("in an hour", 3_000, 3_601),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0, 0),
        ("soon", None, None),
        ("-5", None, None),
        ("1e9", None, None),
    ],
)
def test_retry_after(
    receiver: Receiver, authority: Authority, header: str, low: float | None, high: float | None
) -> None:
    """Retry-After is understood as seconds and as a date; nonsense is as good as none."""
    if header == "in an hour":
        header = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    answer = post(receiver, authority, lambda asked: asked.answer(503, {"retry-after": header}))
    assert answer.status == 503
    if low is None or high is None:
        assert answer.retry_after is None
    else:
        assert answer.retry_after is not None
        assert low <= answer.retry_after <= high


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_authorities_that_cannot_be_read_stop_the_start(tmp_path: Path, text: str | None) -> None:
    """A service that was told of authorities and cannot read them says so, instead of sending nothing for ever."""
    path = tmp_path / "authorities.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match="LESION_WEBHOOK_CA"):
        courier.trusting(path)
