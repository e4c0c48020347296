"""Bodies: too large, of another length than was said, of another digest, of a type that is not read; and forms."""

from tests.promises.bad_input.request import (
    BOUNDARY,
    DATASETS,
    EVALUATIONS,
    FORM,
    MODELS,
    Asked,
    body,
    digest,
    file,
    flood,
    form,
    head,
    post,
    raw,
)
from tests.promises.bad_input.served import DATASET_LIMIT, MIB, MODEL_LIMIT

LARGE = MODEL_LIMIT + 1
AROUND = 16 * MIB  # what a form may have beside its files
SOME = b"some bytes"
OCTETS = "application/octet-stream"

TOO_LARGE = (
    Asked("a model that says it is too large", post(MODELS, bytes(LARGE)), 413, "content-too-large", "2,097,152"),
    Asked(
        "a dataset that says it is too large", post(DATASETS, bytes(DATASET_LIMIT + 1)), 413, "content-too-large", "4,1"
    ),
    Asked(
        "a length of exabytes, and three bytes",
        raw(head(f"POST {MODELS} HTTP/1.1", "Content-Length: 9223372036854775807"), b"abc"),
        413,
        "content-too-large",
        "2,097,152",
    ),
    Asked("chunks without end", post(MODELS, flood(bytes(MIB), 8)), 413, "content-too-large", "2,097,152"),
    Asked(
        "a last chunk beyond the limit",
        post(MODELS, lambda: iter([bytes(MODEL_LIMIT), b"x"])),
        413,
        "content-too-large",
        "2,097,152",
    ),
    Asked("a file in a form", form(file("file", bytes(LARGE)), path=MODELS), 413, "content-too-large", "2,097,152"),
    Asked(
        "several files that are too large together",
        form(file("file", bytes(MODEL_LIMIT), "a"), file("file", bytes(1), "b"), path=MODELS),
        413,
        "content-too-large",
        "2,097,152",
    ),
    Asked(
        "a form that says it is larger than all of its files may be",
        raw(head(f"POST {EVALUATIONS} HTTP/1.1", f"Content-Type: {FORM['Content-Type']}", f"Content-Length: {10**12}")),
        413,
        "content-too-large",
        "bytes",
    ),
    Asked(
        "JSON of 65 KiB",
        post(EVALUATIONS, b" " * 66_000, Content_Type="application/json"),
        413,
        "content-too-large",
        "65,536",
    ),
    Asked(
        "JSON in chunks without end",
        post(EVALUATIONS, flood(b" " * 9000, 9), Content_Type="application/json"),
        413,
        "content-too-large",
        "65,536",
    ),
    Asked("a config of 65 KiB", form(("name=config", b" " * 66_000)), 413, "content-too-large", "65,536"),
)

# RFC 9112: a request without Content-Length and without chunks has no body. So what would be 411 elsewhere is an upload
# that is empty.
LENGTHS = (
    Asked(
        "no length and no chunks",
        raw(head(f"POST {MODELS} HTTP/1.1", "Connection: close"), SOME),
        422,
        "validation-error",
        "empty",
    ),
    Asked("no bytes", post(MODELS, b""), 422, "validation-error", "empty"),
    Asked("no chunks", post(DATASETS, lambda: iter([])), 422, "validation-error", "empty"),
    Asked("a file of no bytes", form(file("file", b""), path=MODELS), 422, "validation-error", "empty"),
    *(
        Asked(
            f"a length of {length!r}",
            raw(head(f"POST {MODELS} HTTP/1.1", f"Content-Length: {length}"), SOME),
            400,
            "bad-request",
            "HTTP/1.1",
        )
        for length in ("-1", "+3", "0x10", "3, 3", "1e3", "9" * 30)
    ),
    Asked(
        "another Content-Digest",
        post(MODELS, SOME, Content_Digest=f"sha-256={digest(b'others')}"),
        400,
        "digest-mismatch",
        digest(SOME),
    ),
    Asked(
        "another Repr-Digest",
        post(DATASETS, SOME, Repr_Digest=f"sha-256={digest(b'others')}"),
        400,
        "digest-mismatch",
        digest(SOME),
    ),
    Asked(
        "one digest right and one wrong",
        post(MODELS, SOME, Content_Digest=f"sha-256={digest(SOME)}, sha-512={digest(SOME)}"),
        400,
        "digest-mismatch",
        "sha-512",
    ),
    Asked(
        "a form's digest",
        post(MODELS, body(file("file", SOME)), Content_Digest=f"sha-256={digest(SOME)}", **FORM),
        400,
        "digest-mismatch",
        "Send it again",
    ),
    Asked(
        "JSON's digest",
        post(EVALUATIONS, b"{}", Content_Type="application/json", Content_Digest=f"sha-256={digest(b'[]')}"),
        400,
        "digest-mismatch",
        "Send it again",
    ),
    Asked("a digest that is none", post(MODELS, SOME, Content_Digest="sha-256=abc"), 400, "bad-request", "sha-256=:"),
    Asked(
        "a digest of no base64",
        post(MODELS, SOME, Content_Digest="sha-256=:a=b:"),
        400,
        "bad-request",
        "Content-Digest",
    ),
)

TYPES = (
    *(
        Asked(
            f"an evaluation as {told or 'nothing'}",
            post(EVALUATIONS, b"{}", Content_Type=told),
            415,
            "unsupported-media-type",
            "multipart/form-data",
        )
        for told in (
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/xml",
            "application/json5",
            OCTETS,
        )
    ),
    *(
        Asked(
            f"a body in {coding}",
            post(MODELS, SOME, Content_Encoding=coding),
            415,
            "unsupported-media-type",
            "Content-Encoding",
        )
        for coding in ("gzip", "br", "deflate, gzip", "zstd")
    ),
    Asked(
        "JSON in gzip",
        post(EVALUATIONS, b"\x1f\x8b", Content_Type="application/json", Content_Encoding="gzip"),
        415,
        "unsupported-media-type",
        "Content-Encoding",
    ),
    Asked(
        "gzip as a transfer coding",
        raw(head(f"POST {MODELS} HTTP/1.1", "Transfer-Encoding: gzip, chunked"), b"1\r\na\r\n0\r\n\r\n"),
        415,
        "unsupported-media-type",
        "chunked",
    ),
)

CONFIG = ("name=config", b"{}")
MODEL, DATASET = file("model", SOME), file("dataset", SOME, "a.npz")
FORMS = (
    Asked("no boundary", post(EVALUATIONS, b"", Content_Type="multipart/form-data"), 400, "bad-request", "boundary"),
    Asked(
        "a boundary of a thousand letters",
        post(EVALUATIONS, b"", Content_Type="multipart/form-data; boundary=" + "b" * 1000),
        400,
        "bad-request",
        "boundary",
    ),
    Asked("no parts", post(EVALUATIONS, b"", **FORM), 400, "bad-request", "too early"),
    Asked("a form that does not end", post(EVALUATIONS, body(MODEL)[:-20], **FORM), 400, "bad-request", "too early"),
    Asked("bytes that are no form", post(EVALUATIONS, SOME * 100, **FORM), 400, "bad-request", "multipart"),
    Asked("two configs", form(MODEL, DATASET, CONFIG, CONFIG), 400, "bad-request", "'config' twice"),
    Asked("two datasets", form(MODEL, DATASET, DATASET), 400, "bad-request", "'dataset' twice"),
    Asked("two files of one name", form(MODEL, MODEL, DATASET), 400, "bad-request", "'a.onnx'"),
    Asked(
        "a field that is not known", form(MODEL, DATASET, ("name=secret", b"1")), 422, "validation-error", "'secret'"
    ),
    Asked("a part without a name", form(("x=y", b"1")), 422, "validation-error", "''"),
    Asked("a name of 100 kB", form((f'name="{"n" * 100_000}"', b"1")), 400, "bad-request", "multipart"),
    Asked("a file name of 100 kB", form(file("model", SOME, "n" * 100_000)), 400, "bad-request", "multipart"),
    Asked("two thousand parts", form(*[file("model", b"x", str(n)) for n in range(2000)]), 400, "bad-request", "parts"),
    Asked(
        "a hundred headers of a part",
        post(EVALUATIONS, f"--{BOUNDARY}\r\n".encode() + b"X: y\r\n" * 100 + b"\r\n\r\n", **FORM),
        400,
        "bad-request",
        "multipart",
    ),
    Asked(
        "17 MiB before the first part",
        post(EVALUATIONS, flood(b"\r\n" * (MIB // 2), 24), **FORM),
        413,
        "content-too-large",
        "bytes",
    ),
    Asked(
        "17 MiB behind the last part",
        post(MODELS, lambda: iter([body(file("file", SOME)), *[bytes(MIB)] * 19]), **FORM),
        413,
        "content-too-large",
        "bytes",
    ),
    Asked("no model", form(DATASET), 422, "validation-error", "model"),
    Asked("no dataset", form(MODEL), 422, "validation-error", "dataset"),
    Asked("an upload without its field", form(CONFIG, path=MODELS), 422, "validation-error", "`file`"),
    Asked(
        "a config that is no UTF-8",
        form(MODEL, DATASET, ("name=config", b'{"site": "\xff"}')),
        400,
        "bad-request",
        "UTF-8",
    ),
    Asked(
        "file names that climb",
        form(file("file", SOME, "a.onnx"), file("file", SOME, "../../etc/passwd"), path=MODELS),
        422,
        "validation-error",
        "'../../etc/passwd'",
    ),
    Asked(
        "file names that are no names",
        form(file("file", SOME, "a.onnx"), file("file", SOME, ".."), path=MODELS),
        422,
        "validation-error",
        "file name",
    ),
)
