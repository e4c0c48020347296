"""All classes of files, by name."""

from tests.promises.bad_input import (
    arrays,
    bombs,
    damaged,
    elsewhere,
    formats,
    meaning,
    operators,
    parquet_files,
    pictures,
    programs,
    scripts,
    tensors_and_csv,
)
from tests.promises.bad_input.case import Class

CLASSES: dict[str, Class] = {
    "a model of another format": formats.MODELS,
    "pickles and weights": formats.PICKLES,
    "a dataset of another format": formats.DATASETS,
    "damaged ONNX": damaged.ONNX,
    "ONNX with data elsewhere": elsewhere.ONNX,
    "ONNX with other operators": operators.ONNX,
    "ONNX bombs": bombs.ONNX,
    "ONNX that is no classifier": meaning.ONNX,
    ".pt2": programs.PT2,
    "TorchScript": scripts.TORCHSCRIPT,
    ".npz": arrays.NPZ,
    "safetensors and CSV": tensors_and_csv.OTHERS,
    "parquet": parquet_files.PARQUET,
    "archives of images": pictures.IMAGES,
}
