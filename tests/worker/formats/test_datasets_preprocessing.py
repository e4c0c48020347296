"""Every step of preprocessing against its own computation, and where columns go."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.worker.formats.reading import refused, taken, wanted
from tests.worker.formats.test_datasets_images import encoded, zipped
from tests.zoo.arrays import npz

SEEN = np.random.default_rng(5).integers(0, 256, (2, 12, 9, 3), np.uint8)
FILES = zipped({"a/1.png": encoded(SEEN[0]), "b/2.png": encoded(SEEN[1])})
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def after(axes: tuple[int, ...], **asked: Any) -> Any:
    """The first image as the model gets it."""
    found, made = taken(FILES, wanted("x", *axes), preprocessing=asked)
    assert asked.items() <= found["preprocessing"].items()
    return made["x"][0]


def pillow(size: tuple[int, int], how: Image.Resampling = Image.Resampling.BILINEAR) -> Any:
    return np.asarray(Image.fromarray(SEEN[0]).resize(size[::-1], how))


def test_scale_mean_and_std() -> None:
    """(x / 255 - mean) / std, as torchvision's ToTensor and Normalize."""
    expected = ((SEEN[0] / 255 - MEAN) / STD).transpose(2, 0, 1)
    np.testing.assert_allclose(after((3, 12, 9), scale=1 / 255, mean=MEAN, std=STD), expected, atol=1e-5)


def test_one_mean_for_all_channels() -> None:
    """x / 127.5 - 1, as Keras's mode tf."""
    expected = (SEEN[0] / 127.5 - 1).transpose(2, 0, 1)
    np.testing.assert_allclose(after((3, 12, 9), scale=1 / 127.5, mean=1.0), expected, atol=1e-6)


@pytest.mark.parametrize("how", ["bilinear", "bicubic", "nearest", "lanczos"])
def test_resize_to_a_height_and_width(how: str) -> None:
    """As Pillow does it."""
    found = after((3, 6, 8), resize=[6, 8], interpolation=how)
    np.testing.assert_array_equal(found, pillow((6, 8), Image.Resampling[how.upper()]).transpose(2, 0, 1))


def test_resize_the_shorter_side_then_crop() -> None:
    """12 x 9 to 8 x 6, and 4 x 4 out of its middle."""
    found = after((3, 4, 4), resize=6, crop=4)
    np.testing.assert_array_equal(found, pillow((8, 6))[2:6, 1:5].transpose(2, 0, 1))


def test_the_order_of_channels() -> None:
    """BGR turns them, L weighs them."""
    np.testing.assert_array_equal(after((3, 12, 9), channels="BGR"), SEEN[0][:, :, ::-1].transpose(2, 0, 1))
    grey = np.asarray(Image.fromarray(SEEN[0]).convert("L"))
    np.testing.assert_array_equal(after((1, 12, 9), channels="L")[0], grey)


def test_padding_comes_after_the_rest() -> None:
    """Below and to the right, with a value that is not scaled."""
    found = after((3, 14, 10), scale=0.5, pad=[14, 10], pad_value=7.0)
    np.testing.assert_array_equal(found[:, :12, :9], SEEN[0].transpose(2, 0, 1) * 0.5)
    assert (found[:, 12:] == 7).all()
    assert (found[:, :, 9:] == 7).all()


def test_the_layout_is_the_models() -> None:
    """Found in its shape, or told where the shape is open."""
    np.testing.assert_array_equal(after((12, 9, 3)), SEEN[0])
    _, made = taken(FILES, wanted("x", "a", "b", "c"), preprocessing={"layout": "NHWC"})
    np.testing.assert_array_equal(made["x"], SEEN)
    found, made = taken(FILES, wanted("x", "a", "b", "c"))
    np.testing.assert_array_equal(made["x"], SEEN.transpose(0, 3, 1, 2))
    assert "layout" in " ".join(found["warnings"])


@pytest.mark.parametrize("stored", ["NCHW", "NHWC"])
def test_pictures_in_arrays_are_prepared_too(stored: str) -> None:
    """Wherever the array has its channels."""
    held = SEEN if stored == "NHWC" else SEEN.transpose(0, 3, 1, 2)
    asked = {"resize": [6, 8], "scale": 1 / 255, "mean": MEAN, "std": STD}
    _, made = taken(npz(x=held, y=[0, 1]), wanted("x", 3, 6, 8), preprocessing=asked)
    expected = ((pillow((6, 8)) / 255 - MEAN) / STD).transpose(2, 0, 1)
    np.testing.assert_allclose(made["x"][0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("asked", "axes", "words"),
    [
        ({"crop": 20}, (3, 20, 20), "too small for a crop of 20 x 20"),
        ({"mean": [0.1, 0.2]}, (3, 12, 9), "2 numbers"),
        ({"resize": [5, 5]}, (3, 12, 9), "[3, 5, 5]"),
    ],
)
def test_steps_that_do_not_fit_are_refused(asked: Any, axes: tuple[int, ...], words: str) -> None:
    """With the step or the shapes that disagree."""
    assert words in refused("dataset-mismatch", FILES, wanted("x", *axes), preprocessing=asked)


def test_tables_are_not_resized() -> None:
    """Numbers in a row are no image."""
    data = npz(x=np.ones((2, 4), np.float32), y=[0, 1])
    assert "no image" in refused("dataset-mismatch", data, wanted("x", 4), preprocessing={"resize": 3})


def test_grey_pictures_get_an_axis_and_turned_ones_are_turned() -> None:
    """[28, 28] for [1, 28, 28]; channels last for channels first: done, and told."""
    grey = np.arange(2 * 4 * 5, dtype=np.float32).reshape(2, 4, 5)
    found, made = taken(npz(x=grey, y=[0, 1]), wanted("x", 1, 4, 5))
    np.testing.assert_array_equal(made["x"][:, 0], grey)
    assert "[4, 5]" in " ".join(found["warnings"])
    found, made = taken(npz(x=SEEN, y=[0, 1]), wanted("x", 3, 12, 9))
    np.testing.assert_array_equal(made["x"], SEEN.transpose(0, 3, 1, 2))
    assert "[12, 9, 3]" in " ".join(found["warnings"])


def test_arrays_find_their_inputs_by_name_then_by_shape() -> None:
    """And where two could be meant, nothing is guessed: both sides are named."""
    ids, table = np.ones((3, 7), np.int64), np.full((3, 4), 2, np.float32)
    inputs = (wanted("tokens", "t", dtype="int64"), wanted("tabular", 4))
    _, made = taken(npz(a=table, b=ids, y=[0, 1, 0]), *inputs)
    np.testing.assert_array_equal(made["tokens"], ids)
    np.testing.assert_array_equal(made["tabular"], table)
    _, made = taken(npz(right=table, left=table + 1, y=[0, 1, 0]), wanted("LEFT", 4), wanted("right", 4))
    np.testing.assert_array_equal(made["LEFT"], table + 1)
    detail = refused("dataset-mismatch", npz(p=table, q=table, y=[0, 1, 0]), wanted("a", 4), wanted("b", 4))
    for name in ("a float32[4]", "b float32[4]", "p float32[4]", "q float32[4]"):
        assert name in detail
