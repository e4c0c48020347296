"""All classes of files, by name."""

from tests.promises.bad_input import bombs, damaged, elsewhere, formats, meaning, operators
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
}
