"""What is damaged: the sound files that the tests read, and their bad ones, by format."""

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto
from PIL import Image

from tests.worker.formats.reading import reading, wanted
from tests.worker.formats.test_datasets_arrays import safetensors
from tests.worker.formats.test_datasets_images import tarred, zipped
from tests.zoo import datasets, models
from tests.zoo.arrays import npz

ROOT = Path(__file__).parents[2]
EXPORTS = ("tests/worker/exports", "tests/worker/ablation/exports")
LARGEST = 24 * 1024  # bytes of a model: larger ones are no other networks, and take longer
BOUNDARY = "lesion"
X = np.arange(24, dtype=np.float32).reshape(6, 4)
Y = np.array([0, 1, 2, 0, 1, 2])
PIXELS = np.random.default_rng(3).integers(0, 256, (6, 12, 10, 3), np.uint8)
PICTURE = wanted("pixels", 3, 12, 10)
PREPARED = {"resize": [6, 5], "scale": 0.00392156862745098, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}


@dataclass(frozen=True)
class Seed:
    """A file to damage. asked: how a dataset is read once it was looked at. sound: is it accepted as it is?"""

    name: str
    data: bytes
    asked: dict[str, Any] = field(default_factory=dict)
    sound: bool = True


def onnx_files() -> list[Seed]:
    """Exports by every exporter that the tests have, networks with all that is refused, and what is no model."""
    exports = [path for folder in EXPORTS for path in sorted((ROOT / folder).glob("*.onnx"))]
    found = [Seed(path.name, path.read_bytes()) for path in exports if path.stat().st_size <= LARGEST]
    bad = [(make.__name__, make()) for make, *_ in models.REFUSED]
    found += [Seed(make.__name__, make()) for make in models.ACCEPTED]
    return found + [Seed(name, data, sound=False) for name, data in bad if len(data) <= LARGEST]


def bundles() -> list[Seed]:
    """Models whose weights lie in one or two files beside them, in a zip."""
    found = []
    for name in ("mlp-dynamo.onnx", "cnn-legacy17.onnx", "smooth-legacy17.onnx"):
        for files in (1, 2):
            model, data = onnx.load(ROOT / EXPORTS[0] / name), [bytearray() for _ in range(files)]
            for number, tensor in enumerate(each for each in model.graph.initializer if each.raw_data):
                place, into = number % files, data[number % files]
                told = {"location": f"w{place}.data", "offset": str(len(into)), "length": str(len(tensor.raw_data))}
                into += tensor.raw_data
                tensor.ClearField("raw_data")
                tensor.data_location = TensorProto.EXTERNAL
                for key, value in told.items():
                    tensor.external_data.add(key=key, value=value)
            held = {f"w{place}.data": bytes(each) for place, each in enumerate(data)}
            found.append(
                Seed(f"{name}-{files}", zipped({"net.onnx": model.SerializeToString(), **held, "README.md": b"hi"}))
            )
    return found


def pt2_files() -> list[Seed]:
    """Programs of torch.export, with a free batch axis and without, decomposed and not."""
    return list(_programs({"Mlp": ("pt2", "functional"), "Cnn": ("pt2",), "Block": ("functional",)}))


def torchscript_files() -> list[Seed]:
    """Traces and scripts."""
    return list(
        _programs({"Mlp": ("traced", "scripted"), "Cnn": ("traced",), "Block": ("traced",), "Anywhere": ("scripted",)})
    )


def _programs(wanted: dict[str, tuple[str, ...]]) -> Iterator[Seed]:
    from tests.worker import torch_nets  # torch, which the other formats need not wait for

    with tempfile.TemporaryDirectory() as folder:
        for name, forms in wanted.items():
            kind = getattr(torch_nets, name)
            for form in forms:
                path = Path(folder) / f"{name}-{form}.pt2"
                torch_nets.save(torch_nets.made(kind), form, path, torch_nets.example(kind))
                yield Seed(path.name, path.read_bytes())


def npz_files() -> list[Seed]:
    """Arrays of several types and forms, splits, texts and weights; and each bad file of the zoo."""
    words = np.array(["cat", "dog", "cow", "cat", "dog", "cow"])
    found = [
        Seed("plain", npz(x=X, y=Y), reading(wanted("x", 4))),
        Seed("values", npz(x=X, y=Y / 3), reading(wanted("x", 4), targets="values")),
        Seed("words", npz(x=X.astype(">f8"), label=words), reading(wanted("x", 4))),
        Seed("splits", npz(x_train=X, y_train=Y, x_test=X, y_test=Y), reading(wanted("x", 4), split="test")),
        Seed("pictures", npz(x=PIXELS, y=Y), reading(wanted("x", 3, 6, 5), preprocessing=PREPARED)),
        Seed("two", npz(a=X, b=Y, w=np.ones(6), y=Y), reading(wanted("a", 4), wanted("b", dtype="int64"))),
    ]
    found += [Seed(make.__name__, make(), reading(wanted("x", 4))) for make in datasets.ACCEPTED]
    bad = [(make.__name__, make()) for make, *_ in datasets.REFUSED]
    return found + [Seed(n, data, reading(wanted("x", 4)), sound=False) for n, data in bad if len(data) <= LARGEST]


def safetensors_files() -> list[Seed]:
    """The same arrays in the other format."""
    return [
        Seed("plain", safetensors(x=X, y=Y), reading(wanted("x", 4))),
        Seed("half", safetensors(x=X.astype(np.float16), y=Y.astype(np.uint8)), reading(wanted("x", 4))),
        Seed("splits", safetensors(x_train=X, y_train=Y, x_test=X, y_test=Y), reading(wanted("x", 4))),
        Seed("pictures", safetensors(x=PIXELS, y=Y), reading(wanted("x", 3, 6, 5), preprocessing=PREPARED)),
        Seed("flags", safetensors(x=X > 3, y=Y), reading(wanted("x", 4))),
    ]


def parquet_files() -> list[Seed]:
    """Numbers, lists, texts, categories and pictures; several row groups, codecs and versions of pages."""
    pictures = [{"bytes": _encoded(each, "PNG"), "path": None} for each in PIXELS[:3]]
    columns = {"x": X.tolist(), "label": Y.tolist()}
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 4)
    words = pa.array(["cat", "dog", "cat", "dog", "cat", "dog"]).dictionary_encode()
    told = {
        "huggingface": json.dumps({"info": {"features": {"label": {"_type": "ClassLabel", "names": ["a", "b", "c"]}}}})
    }
    return [
        Seed("lists", _parquet(pa.table(columns)), reading(wanted("x", 4))),
        Seed("groups", _parquet(pa.table(columns), row_group_size=2, compression="none"), reading(wanted("x", 4))),
        Seed("fixed", _parquet(pa.table({"x": fixed, "y": Y}), data_page_version="2.0"), reading(wanted("x", 4))),
        Seed(
            "wide", _parquet(pa.table({**{c: X[:, i] for i, c in enumerate("abcd")}, "y": Y})), reading(wanted("x", 4))
        ),
        Seed("words", _parquet(pa.table({"a": X[:, 0], "b": X[:, 1], "label": words})), reading(wanted("x", 2))),
        Seed("gzip", _parquet(pa.table(columns), compression="gzip", use_dictionary=False), reading(wanted("x", 4))),
        Seed("zstd", _parquet(pa.table(columns), compression="zstd"), reading(wanted("x", 4))),
        Seed("pictures", _parquet(pa.table({"image": pictures, "label": [0, 1, 2]})), reading(PICTURE)),
        Seed("named", _parquet(pa.table(columns).replace_schema_metadata(told)), reading(wanted("x", 4))),
    ]


def _parquet(table: Any, **how: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **how)
    return file.getvalue()


def csv_files() -> list[Seed]:
    """Tables with and without a header, of numbers and of words, with other delimiters."""
    rows = "".join(f"{a},{b},{c}\n" for a, b, c in zip(X[:, 0], X[:, 1], ["cat", "dog"] * 3, strict=True))
    return [
        Seed("named", f"a,b,label\n{rows}".encode(), reading(wanted("x", 2))),
        Seed(
            "headless",
            "".join(f"{a},{b},{c}\n" for a, b, c in zip(X[:, 0], X[:, 1], Y, strict=True)).encode(),
            reading(wanted("x", 2)),
        ),
        Seed("semicolons", b"a;b;y\n1;2;0\n3;4;1\n5;6;2\n", reading(wanted("x", 2))),
        Seed("quoted", b'"a","b","y"\r\n"1","2","x,y"\r\n"3","4","z"\r\n', reading(wanted("x", 2))),
        Seed(
            "values",
            b"a,b,c,target,weight\n" + b"1,2,3,0.5,1\n4,5,6,1.5,2\n" * 3,
            reading(wanted("x", 3), targets="values", weights="weight"),
        ),
        Seed(
            "splits", b"a,b,label,split\n1,2,0,train\n3,4,1,test\n5,6,1,test\n", reading(wanted("x", 2), split="test")
        ),
    ]


CODECS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG"},
    "jpg": {"format": "JPEG"},
    "bmp": {"format": "BMP"},
    "webp": {"format": "WEBP", "lossless": True},
    "gif": {"format": "GIF"},
}


def _encoded(pixels: Any, form: str, **how: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **how)
    return file.getvalue()


def _pictures() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Folders of classes with pictures of each codec; and some of odd modes."""
    for ending, how in CODECS.items():
        pictures = [
            _encoded(each, how["format"], **{k: v for k, v in how.items() if k != "format"}) for each in PIXELS[:2]
        ]
        yield ending, {f"cat/1.{ending}": pictures[0], f"dog/2.{ending}": pictures[1]}
    lossy = _encoded(PIXELS[0], "WEBP", quality=50)
    progressive = _encoded(
        PIXELS[1], "JPEG", progressive=True, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0"
    )
    yield "lossy", {"cat/1.webp": lossy, "dog/2.jpg": progressive}
    palette, grey = (io.BytesIO() for _ in range(2))
    Image.fromarray(PIXELS[0]).convert("P").save(palette, "PNG")
    Image.fromarray(PIXELS[1]).convert("LA").save(grey, "PNG")
    yield (
        "modes",
        {
            "train/cat/1.png": palette.getvalue(),
            "test/cat/1.png": grey.getvalue(),
            "test/dog/2.png": _encoded(PIXELS[2], "PNG"),
        },
    )
    frames, cmyk = (io.BytesIO() for _ in range(2))
    Image.fromarray(PIXELS[0]).save(
        frames, "GIF", save_all=True, append_images=[Image.fromarray(each) for each in PIXELS[1:4]]
    )
    Image.fromarray(PIXELS[1]).convert("CMYK").save(cmyk, "JPEG")
    yield (
        "listed",
        {"1.gif": frames.getvalue(), "2.jpg": cmyk.getvalue(), "labels.csv": b"filename,label\n1.gif,a\n2.jpg,b\n"},
    )


def image_zips() -> list[Seed]:
    """Zips of pictures in folders, with splits, and with a list."""
    return [Seed(name, zipped(files), reading(PICTURE)) for name, files in _pictures()]


def tars() -> list[Seed]:
    """The same as tars, packed and not."""
    return [
        Seed(f"{name}-{mode}", tarred(files, mode), reading(PICTURE))
        for name, files in _pictures()
        for mode in ("w", "w:gz")
    ]


MODEL, DATASET = "sha256:" + "1a" * 32, "sha256:" + "2b" * 32  # put in for the digests of real uploads
CONFIGS: list[dict[str, Any]] = [
    {},
    {"scope": "network", "precision": 0.05, "seed": 7, "confidence": 0.9},
    {"estimator": "grid", "orderings": 2, "fractions": 3, "scope": "layer", "site": "fc1"},
    {
        "sites": ["layer4*", "*"],
        "clamp": "mean",
        "metric": "top_k",
        "k": 2,
        "limits": {"trials": 100, "seconds": 5, "workers": 2},
    },
    {"preprocessing": PREPARED, "output": "y", "inputs": {"x": "a"}, "labels": "y", "weights": None, "split": "test"},
]


def requests() -> list[Seed]:
    """Bodies of POST /v1/evaluations: digests and a config."""
    asked = [{"model": MODEL, "dataset": DATASET, **({"config": config} if config else {})} for config in CONFIGS]
    return [Seed(f"json-{number}", json.dumps(each).encode()) for number, each in enumerate(asked)]


def forms() -> list[Seed]:
    """Multipart bodies of the same route: model, dataset and config, and a model in two files."""
    tiny, data, config = models.good(), npz(x=X, y=Y), json.dumps(CONFIGS[1]).encode()
    parts = [("model", "net.onnx", tiny), ("dataset", "set.npz", data), ("config", "", config)]
    several = [("model", "a.onnx", tiny), ("model", "w.data", b"1234"), ("dataset", "set.npz", data)]
    return [Seed("form", _form(parts)), Seed("several", _form(several)), Seed("config-first", _form(parts[::-1]))]


def _form(parts: list[tuple[str, str, bytes]]) -> bytes:
    made = b""
    for name, file, content in parts:
        told = f'; filename="{file}"' if file else ""
        made += (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{told}\r\n\r\n'.encode() + content + b"\r\n"
        )
    return made + f"--{BOUNDARY}--\r\n".encode()


SEEDS: dict[str, Callable[[], list[Seed]]] = {
    "onnx": onnx_files,
    "bundle": bundles,
    "pt2": pt2_files,
    "torchscript": torchscript_files,
    "npz": npz_files,
    "safetensors": safetensors_files,
    "parquet": parquet_files,
    "csv": csv_files,
    "images": image_zips,
    "tar": tars,
    "json": requests,
    "form": forms,
}
