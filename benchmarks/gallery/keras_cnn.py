"""A small Keras CNN, channels last, by tf2onnx; on Fashion-MNIST's bytes, which the config normalises."""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # it tells of the GPUs that it misses

import keras
import numpy as np
import tensorflow
import tf2onnx

from benchmarks.gallery import files, outside
from benchmarks.gallery.pairs import Pair

OPSET, EPOCHS, BATCH = 15, 5, 128
MEAN, STD = 0.286, 0.353  # of the training pictures
SIZES = (16, 16, 16, 24, 32)


def network() -> keras.Model:
    """Bytes already normalised, [N, 28, 28, 1], to probabilities."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            layers.Conv2D(16, 3, strides=2, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, activation="relu"),
            layers.SeparableConv2D(24, 3, activation="swish"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(32, activation="elu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def make(folder: Path) -> Iterator[Pair]:
    """Trained and exported once."""
    where = files.debian("dataset-fashion-mnist", folder) / "usr/share/datasets/fashion-mnist"
    images = {part: files.idx(where / f"{part}-images-idx3-ubyte.gz")[..., None] for part in ("train", "t10k")}
    labels = {part: files.idx(where / f"{part}-labels-idx1-ubyte.gz").astype(np.int64) for part in images}
    ready = {part: ((pixels / 255 - MEAN) / STD).astype(np.float32) for part, pixels in images.items()}
    keras.utils.set_random_seed(0)
    net = network()
    net.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    net.fit(ready["train"], labels["train"], BATCH, EPOCHS, verbose=0)
    signature = [tensorflow.TensorSpec((None, 28, 28, 1), tensorflow.float32, name="image")]
    # Not from_keras: with Keras 3 it looks outputs up by names that they no longer have.
    called = tensorflow.function(lambda image: net(image, training=False))
    model, _ = tf2onnx.convert.from_function(called, input_signature=signature, opset=OPSET)
    (folder / "keras-cnn.onnx").write_bytes(model.SerializeToString())
    np.savez(folder / "fashion-bytes.npz", image=images["t10k"], labels=labels["t10k"])
    yield Pair(
        name="Keras CNN, channels last",
        family="Keras CNN on Fashion-MNIST",
        form="Keras 3.15, tf2onnx 1.17",
        model=("keras-cnn.onnx",),
        dataset="fashion-bytes.npz",
        outside=outside.accuracy_of_onnx(folder / "keras-cnn.onnx", {"image": ready["t10k"]}, labels["t10k"]),
        by="onnxruntime",
        sites=len(SIZES),
        units=sum(SIZES),
        counted="convolutions: plain (16), depthwise (16), separable (depthwise 16, pointwise 24); dense (32)",
        config={"preprocessing": {"scale": 1 / 255, "mean": MEAN, "std": STD}},
        note="the dataset is bytes, uint8[10000, 28, 28, 1]",
    )
