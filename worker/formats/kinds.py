"""What kind of model file an upload is, by its first bytes and, if a zip, by its members. Nothing is unpickled."""

import re
import zipfile
from typing import IO, Literal

from worker.formats import zips
from worker.formats.refusals import Refused

Kind = Literal["onnx", "bundle", "pt2", "torchscript"]

HEAD = 512  # bytes looked at first
NOTE = 1024**2  # bytes of a pickle whose imports are looked at
ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the second, where it is empty
EXPORT = "torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), 'model.onnx', dynamo=True, external_data=False)"
STATES = f"model = Net(); model.load_state_dict(torch.load('weights.pt'))\nmodel.eval()\n{EXPORT}"
WHOLE = f"model = torch.load('model.pt', weights_only=False)\nmodel.eval()\n{EXPORT}"
SHAPED = "where the zeros have the shape of your own inputs"
PICKLE = (
    f"This is a pickle, which is a program and is never loaded. For a model that torch.save wrote:\n{WHOLE}\n{SHAPED}; "
    "for one of scikit-learn: skl2onnx.to_onnx(model, x[:1])."
)
SAVED_MODEL = "convert it with tf2onnx: python -m tf2onnx.convert --saved-model DIR --output model.onnx."
# What else people upload, by its first bytes.
OTHERS = {
    b"\x89HDF": "This is an HDF5 file, such as Keras writes; convert it with tf2onnx to an ONNX file.",
    b"\x1f\x8b": "This is a gzip file; unpack it and upload the ONNX file itself.",
    b"BZh": "This is a bzip2 file; unpack it and upload the ONNX file itself.",
    b"\xfd7zXZ": "This is an xz file; unpack it and upload the ONNX file itself.",
    b"7z\xbc\xaf": "This is a 7z archive; unpack it and upload the ONNX file itself.",
    b"GGUF": "This is a GGUF file, which holds the weights of a language model and no network; upload an ONNX file.",
    b"PAR1": "This is a parquet file: a dataset, and no model.",
    b"\x93NUMPY": "This is an array of numpy: data, and no model.",
    b"\x89PNG": "This is a picture, and no model.",
    b"\xff\xd8\xff": "This is a picture, and no model.",
    b"version https://git-lfs": "This is Git LFS's pointer to a model, not the model: run `git lfs pull` and "
    "upload the file again.",
    b"<!doctype": "This is a web page, such as a download that failed leaves; fetch the model itself.",
    b"<html": "This is a web page, such as a download that failed leaves; fetch the model itself.",
    b"<?xml": "This is an XML file, such as OpenVINO writes; upload the ONNX file that it was made from.",
}
SAFETENSORS = re.compile(rb".{8}\{\s*\"", re.DOTALL)
GLOBAL = re.compile(rb"c([\w.]{1,200})\n([\w.]{1,200})\n", re.ASCII)  # how a pickle names a class
OF_TORCH = ("collections", "torch", "torch._utils", "torch.storage", "torch._tensor", "__builtin__", "builtins")


def kind_of(file: IO[bytes]) -> Kind:
    """What a seekable file is, left at its start. Raises `Refused` for what is no model, saying how to make it one.

    What is no known other format is called "onnx": whether it is one, only its reader knows.
    """
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    if head.startswith(ZIP):
        kind = _zipped(file)
        file.seek(0)
        return kind
    if not head:
        raise _other(f"The file is empty. Upload an ONNX file, such as {EXPORT} writes.")
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise _other(PICKLE)
    if head[4:8] == b"TFL3":
        raise _other("This is a TensorFlow Lite file; convert it with python -m tf2onnx.convert --tflite model.tflite.")
    if head[257:262] == b"ustar":
        raise _other("This is a tar archive; unpack it and upload the ONNX file, or a zip of it and its data files.")
    if SAFETENSORS.match(head):
        detail = (
            f"This is a safetensors file: weights without a network. Where its class is known:\n{STATES}\n{SHAPED}."
        )
        raise _other(detail.replace("torch.load('weights.pt')", "safetensors.torch.load_file('model.safetensors')"))
    lower = head.lstrip().lower()
    for start, advice in OTHERS.items():
        if lower.startswith(start.lower()):
            raise _other(advice)
    return "onnx"


def _other(detail: str) -> Refused:
    return Refused("unsupported-format", detail)


def _zipped(file: IO[bytes]) -> Kind:
    with zips.refusing(_damaged), zipfile.ZipFile(file) as archive:
        return _kind(archive)


def _damaged(why: str) -> Refused:
    return Refused("model-malformed", f"This is a damaged zip archive ({why}). Make it or upload it again.")


def _kind(archive: zipfile.ZipFile) -> Kind:
    names = archive.namelist()
    inner = {name.partition("/")[2] for name in names}  # below the one folder that torch makes
    if any(name.lower().endswith(".onnx") for name in names):
        return "bundle"
    if "archive_format" in inner or any(re.fullmatch(r"models/[^/]*\.json", name) for name in inner):
        return "pt2"
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return "torchscript"
    if "serialized_exported_program.json" in {*names, *inner}:
        return "pt2"
    if "data.pkl" in inner:
        raise _other(_saved(archive, next(name for name in names if name.partition("/")[2] == "data.pkl")))
    raise _other(_no_model(names))


def _saved(archive: zipfile.ZipFile, name: str) -> str:
    """What torch.save wrote, told by the classes that its pickle names, and how to export it."""
    with archive.open(name) as opened:
        named = [(module.decode(), word.decode()) for module, word in GLOBAL.findall(opened.read(NOTE))]
    own = [f"{module}.{word}" for module, word in named if module not in OF_TORCH]
    start = "This is a file of torch.save, a pickle, which is a program and is never loaded."
    if own:
        return f"{start} It holds a whole module ({own[0][:100]}). Where that class is known:\n{WHOLE}\n{SHAPED}."
    return f"{start} It holds a state dict, weights without a network. Where the class is known:\n{STATES}\n{SHAPED}."


def _no_model(names: list[str]) -> str:
    """What a zip is that holds no model."""
    if any(name.endswith(".npy") for name in names):
        return "This is an .npz file: a dataset, and no model."
    if "config.json" in names and any(name.endswith(".h5") for name in names):
        return f"This is a .keras file. Load it with Keras, model.export('DIR'), and {SAVED_MODEL}"
    if any(name.endswith("saved_model.pb") for name in names):
        return f"This is a zip of TensorFlow's SavedModel; {SAVED_MODEL}"
    shown = ", ".join(repr(name[:100]) for name in names[:5])
    return f"There is no .onnx file in this zip ({shown or 'it is empty'}). Put the model in it, beside its data files."
