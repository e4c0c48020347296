"""A model of several files becomes one artifact: the same for the same files, and nothing of it stays if refused."""

import io
import zipfile

import pytest

from tests.service.api.conftest import Api

GRAPH, WEIGHTS = ("model.onnx", b"graph" * 20), ("model.onnx.data", b"weights" * 30)


def post(api: Api, *files: tuple[str, bytes]) -> tuple[int, dict]:
    """Upload them as parts of one form."""
    answer = api.client.post("/v1/models", files=[("file", file) for file in files])
    return answer.status_code, answer.json()


def kept(api: Api) -> list[bytes]:
    """All files under the data folder that came from uploads."""
    places = (api.settings.data / "blobs", api.settings.scratch)
    return [path.read_bytes() for place in places for path in place.rglob("*") if path.is_file()]


def test_the_order_of_parts_does_not_matter(api: Api) -> None:
    """The id depends on names and bytes alone; what is stored is a plain zip of them."""
    first, again, renamed = post(api, GRAPH, WEIGHTS), post(api, WEIGHTS, GRAPH), post(api, GRAPH, ("w", WEIGHTS[1]))
    assert first[1]["id"] == again[1]["id"] != renamed[1]["id"]
    [blob] = [blob for blob in kept(api) if b"model.onnx.data" in blob]
    with zipfile.ZipFile(io.BytesIO(blob)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == dict([GRAPH, WEIGHTS])
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.flag_bits for info in archive.infolist()} == {0}  # sizes stand in front, for strict readers
    assert first[1]["size"] == len(blob)


def test_the_same_id_everywhere(api: Api) -> None:
    """A digest that was written down: no machine, no year and no Python may change it."""
    status, body = post(api, GRAPH, WEIGHTS)
    assert (status, body["id"]) == (202, "sha256:03345a05bf8a950ea33ad2985fe7413f327cd9901bfed9dc63671e98719c981c")


def test_one_file_stays_as_it_is(api: Api) -> None:
    """One part is the file itself, whatever it is called."""
    raw = api.client.post("/v1/models", content=b"graph").json()["id"]
    assert post(api, ("../m.onnx", b"graph"))[1]["id"] == raw


@pytest.mark.parametrize(
    ("files", "status", "says"),
    [
        ([GRAPH, ("../weights", b"w")], 422, "folder"),
        ([GRAPH, ("/etc/passwd", b"w")], 422, "folder"),
        ([GRAPH, ("a\\b", b"w")], 422, "folder"),
        ([GRAPH, ("..", b"w")], 422, "file name"),
        ([GRAPH, ("w\u202e", b"w")], 422, "unprintable"),
        ([GRAPH, ("w" * 300, b"w")], 422, "shorten"),
        ([GRAPH, GRAPH], 400, "model.onnx"),
        ([GRAPH, ("weights", b"")], 422, "empty"),
        ([GRAPH, ("weights", b"w" * 950)], 413, "1,000 bytes"),
    ],
)
def test_files_that_cannot_go_together_are_refused(
    api: Api, files: list[tuple[str, bytes]], status: int, says: str
) -> None:
    """Path tricks, names that are none or the same, and more bytes in sum than the limit; nothing is left behind."""
    refused, body = post(api, *files)
    assert refused == status, body
    assert says in body["detail"]
    assert kept(api) == []
    assert api.client.get("/v1/models").json()["data"] == []


def test_parts_without_file_names_are_refused(api: Api) -> None:
    """Two nameless parts cannot be told apart."""
    part = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nbytes\r\n'
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = api.client.post("/v1/models", content=part * 2 + b"--x--\r\n", headers=headers)
    assert answer.status_code == 400
    assert kept(api) == []


def test_more_files_than_anybody_needs_are_refused(api: Api) -> None:
    """The number of parts is bounded, whatever they hold."""
    status, body = post(api, *((f"{n}", b"") for n in range(1, 2)), *((f"w{n}", b"w") for n in range(1100)))
    assert status in (400, 413, 422), body
    assert kept(api) == []
