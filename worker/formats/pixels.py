"""The steps of preprocessing on one image, [height, width, channels]; each is a pure function."""

from collections.abc import Sequence

import numpy as np

from worker.formats.decoding import PIXELS_LIMIT
from worker.formats.tables import Array, mismatch

Numbers = float | Sequence[float] | None


def coloured(picture: Array, channels: str | None) -> Array:
    """A picture with its channels as asked for: `RGB`, `BGR`, `L` (ITU-R BT.601, as Pillow); others than RGB stay."""
    if channels in ("RGB", "BGR") and picture.shape[2] == 1:
        return np.repeat(picture, 3, axis=2)
    if picture.shape[2] != 3 or channels in (None, "RGB"):
        return picture
    if channels == "BGR":
        return picture[:, :, ::-1]
    if picture.dtype == np.uint8:
        parts = picture.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32)
        return ((parts + 0x8000) >> 16).astype(np.uint8)[:, :, None]
    return (picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32))[:, :, None]


def resized(picture: Array, asked: int | Sequence[int], how: str) -> Array:
    """A picture of [height, width], or with a shorter side of so many pixels, as Pillow resizes.

    uint8 stays uint8; all else becomes float32. how: `bilinear`, `bicubic`, `nearest` or `lanczos`.
    """
    from PIL import Image

    height, width = _size(picture.shape[0], picture.shape[1], asked)
    resampling = Image.Resampling[how.upper()]
    if picture.dtype == np.uint8 and picture.shape[2] == 3:
        image = Image.fromarray(np.ascontiguousarray(picture))
        return np.asarray(image.resize((width, height), resampling))
    planes = picture if picture.dtype == np.uint8 else picture.astype(np.float32)
    images = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(planes, 2, 0)]
    return np.stack([np.asarray(image.resize((width, height), resampling)) for image in images], axis=2)


def _size(height: int, width: int, asked: int | Sequence[int]) -> tuple[int, int]:
    """Height and width after resizing; of one number, the longer side is rounded down, as torchvision does."""
    if isinstance(asked, int):
        short = min(height, width)
        asked = [asked * side // short for side in (height, width)]
    if asked[0] * asked[1] > PIXELS_LIMIT:
        raise mismatch(
            f"An image of {height} x {width} would have {asked[0] * asked[1]:,} pixels when resized; {PIXELS_LIMIT:,} "
            "are the limit. Set preprocessing.resize to [height, width]."
        )
    return asked[0], asked[1]


def cropped(picture: Array, asked: int | Sequence[int], name: str) -> Array:
    """The centre of a picture, a square or [height, width], as torchvision cuts it."""
    high, wide = [asked, asked] if isinstance(asked, int) else asked
    height, width = picture.shape[:2]
    if high > height or wide > width:
        raise mismatch(
            f"{name} is {height} x {width}, too small for a crop of {high} x {wide}. Set preprocessing.resize."
        )
    top, left = round((height - high) / 2), round((width - wide) / 2)
    return picture[top : top + high, left : left + wide]


def scaled(values: Array, scale: float | None, mean: Numbers, std: Numbers) -> Array:
    """(values * scale - mean) / std in float32; numbers for each channel go along the last axis."""
    if scale is None and mean is None and std is None:
        return values
    for name, numbers in (("mean", mean), ("std", std)):
        if isinstance(numbers, Sequence) and len(numbers) not in (1, values.shape[-1]):
            raise mismatch(
                f"preprocessing.{name} has {len(numbers)} numbers, and images have {values.shape[-1]} channels."
            )
    with np.errstate(over="ignore", invalid="ignore"):
        made = values.astype(np.float32) * np.float32(1 if scale is None else scale)
        made = made - np.asarray(0 if mean is None else mean, np.float32)
        return np.asarray(made / np.asarray(1 if std is None else std, np.float32))


def padded(picture: Array, asked: Sequence[int], value: float) -> Array:
    """A picture filled up to [height, width] below and to the right; one that is larger stays."""
    below, right = (max(want - have, 0) for want, have in zip(asked, picture.shape[:2], strict=True))
    if value and picture.dtype.kind != "f":
        picture = picture.astype(np.float32)  # whole numbers may not hold it
    return np.pad(picture, ((0, below), (0, right), (0, 0)), constant_values=value)
