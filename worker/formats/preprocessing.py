"""What is done to a column's examples before a model sees them, and what of it was nobody's wish but a guess.

The order: decode, channels, resize, crop, scale, mean and std, pad, layout. Until then, an image is [height, width,
channels].
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from worker.formats import decoding, layouts, pixels
from worker.formats.layouts import CHANNELS, Sizes
from worker.formats.tables import IMAGE, Array, Column, mismatch

POINTWISE = ("scale", "mean", "std")
FILLERS = ("interpolation", "pad_value")  # which have a default, and ask for nothing alone
Asked = Mapping[str, Any]


@dataclass(frozen=True)
class Preparation:
    """How one column's examples become one input's.

    asked: the config's preprocessing, without what is null. wanted: the input's axes without the first. called: what to
    call an example in a refusal.
    """

    column: Column
    asked: Asked
    wanted: Sizes
    called: Callable[[int], str]

    def __post_init__(self) -> None:
        if self.of_files or not self.asked:
            return
        if self.of_pictures and self._stored is None:
            raise mismatch(
                f"{self.column.name} is {list(self.column.shape)}, and it is not clear which axis holds the channels. "
                "Say so with preprocessing.data_layout: NCHW or NHWC."
            )
        if not self.of_pictures and not set(self.asked) <= {*POINTWISE, *FILLERS}:
            names = ", ".join(sorted(set(self.asked) - {*POINTWISE, *FILLERS}))
            raise mismatch(
                f"{self.column.name} is {list(self.column.shape)}, which is no image, so preprocessing ({names}) "
                "cannot be done to it. Leave it out."
            )

    @property
    def of_files(self) -> bool:
        """Are the examples files of images?"""
        return self.column.dtype == IMAGE

    @property
    def of_pictures(self) -> bool:
        """Are the examples images, to which more is done than to any numbers?"""
        lists = any(isinstance(self.asked.get(name), Sequence) for name in POINTWISE)
        more = lists or not set(self.asked) <= {*POINTWISE, *FILLERS}
        return self.of_files or (more and len(self.column.shape) in (2, 3))

    def done(self, values: Any, start: int) -> Iterator[Array]:
        """The examples, [n, ...], as the model takes them but for the dtype. values: a piece of the column, from
        example `start` on; images come one by one, however large they are before they are resized."""
        if self.of_pictures:
            for place, value in enumerate(values, start):
                yield layouts.relaid(self._one(value, place)[None], self.wanted, moving=False)
        else:
            found = np.asarray(values)
            numbers = (self.asked.get(name) for name in POINTWISE)
            yield layouts.relaid(pixels.scaled(found, *numbers), self.wanted)

    def _one(self, value: Any, place: int) -> Array:
        asked = self.asked
        if self.of_files:
            picture = decoding.decoded(value, "L" if self._channels == 1 else "RGB", self.called(place))
        else:
            picture = _upright(np.asarray(value), self._stored)
        picture = pixels.coloured(picture, asked.get("channels"))
        if asked.get("resize"):
            picture = pixels.resized(picture, asked["resize"], asked.get("interpolation", "bilinear"))
        if asked.get("crop"):
            picture = pixels.cropped(picture, asked["crop"], self.called(place))
        picture = pixels.scaled(picture, *(asked.get(name) for name in POINTWISE))
        if asked.get("pad"):
            picture = pixels.padded(picture, asked["pad"], asked.get("pad_value", 0.0))
        return np.ascontiguousarray(np.moveaxis(picture, 2, 0) if self.layout == "NCHW" else picture)

    @property
    def _channels(self) -> int | None:
        """How many channels the model takes, as far as it is known."""
        if "channels" in self.asked:
            return 1 if self.asked["channels"] == "L" else 3
        if len(self.wanted) in (1, 2):
            return 1
        if len(self.wanted) != 3:
            return None
        axis = self.wanted[0 if self.layout == "NCHW" else 2]
        return axis if isinstance(axis, int) else None

    @property
    def layout(self) -> str:
        """Where the model wants the channels: as told, else the axis of one or three; NCHW if both or none could be."""
        if "layout" in self.asked:
            return str(self.asked["layout"])
        axes = self.wanted
        last = len(axes) == 3 and axes[2] in CHANNELS and axes[0] not in CHANNELS
        return "NHWC" if last else "NCHW"

    @property
    def _stored(self) -> str | None:
        """Where the array has its channels; None if that cannot be told."""
        shape = self.column.shape
        if "data_layout" in self.asked:
            return str(self.asked["data_layout"])
        if len(shape) == 2:
            return "NHW"
        first, last = shape[0] in CHANNELS, shape[2] in CHANNELS
        return None if first == last else "NCHW" if first else "NHWC"

    def told(self, shape: Sequence[int]) -> list[str]:
        """What was done without being asked, as sentences. shape: of one example as it was written."""
        before, after = list(self.column.shape), list(shape)
        if not self.of_pictures:
            done = before != after and not any(isinstance(size, str) for size in before)
            return [f"{self.column.name} is {before} and was given to the model as {after}."] if done else []
        found: list[str] = []
        certain = len(self.wanted) == 3 and (self.wanted[0] in CHANNELS) != (self.wanted[2] in CHANNELS)
        if "layout" not in self.asked and len(self.wanted) == 3 and not certain:
            found.append(
                f"The model's shape {list(self.wanted)} does not tell where it wants the channels, so {self.layout} "
                "was taken. Set preprocessing.layout if it is another."
            )
        if self.of_files and self._channels is None:
            found.append("The model does not tell how many channels it takes, so images were read as RGB.")
        return found

    @property
    def resolved(self) -> dict[str, Any]:
        """All that is done to images, with what was found out where nothing was asked."""
        if not self.of_pictures:
            return dict(self.asked)
        found: dict[str, Any] = {**self.asked, "layout": self.layout}
        if self.of_files:
            found.setdefault("channels", "L" if self._channels == 1 else "RGB")
        elif self._stored != "NHW":
            found["data_layout"] = self._stored
        return found


def effective(asked: Asked | None) -> dict[str, Any]:
    """What of a config's preprocessing asks for something."""
    found = {name: value for name, value in (asked or {}).items() if value is not None}
    return found if set(found) - set(FILLERS) else {}


def _upright(array: Array, stored: str | None) -> Array:
    if array.ndim == 2:
        return array[:, :, None]
    return np.moveaxis(array, 0, 2) if stored == "NCHW" else array
