"""What is done to a dataset's examples before the model sees them, named as people name it."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from service.schemas.words import Strict

Layout = Literal["NCHW", "NHWC"]
Side = Annotated[int, Field(ge=1, le=8192)]
Sides = Annotated[list[Side], Field(min_length=2, max_length=2)]
Padding = Annotated[list[Annotated[int, Field(ge=0, le=8192)]], Field(min_length=2, max_length=2)]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
Positive = Annotated[float, Field(allow_inf_nan=False, gt=0, le=1e9)]
CHANNELS = {"RGB": 3, "BGR": 3, "L": 1}


class Preprocessing(Strict):
    """What is done to each example, in this order: decode, channels, resize, crop, scale, mean and std, pad, layout.

    What is left out is not done. An image file is decoded to bytes from 0 to 255, so most networks want `scale` or
    `mean` and `std` as they were trained with.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "resize": 256,
                    "crop": 224,
                    "scale": 1 / 255,
                    "mean": [0.485, 0.456, 0.406],
                    "std": [0.229, 0.224, 0.225],
                }
            ]
        }
    )

    layout: Layout | None = Field(None, description="Where the model wants the channels; null: found in its input.")
    data_layout: Layout | None = Field(None, description="Where the dataset has the channels; null: found by shape.")
    channels: Literal["RGB", "BGR", "L"] | None = Field(
        None, description="Order of the channels that the model wants; `L` is grey. Images are decoded as RGB."
    )
    resize: Side | Sides | None = Field(
        None, description="One number: the shorter side, in pixels, the other in proportion. Two: height and width."
    )
    interpolation: Literal["bilinear", "bicubic", "nearest", "lanczos"] = Field(
        "bilinear", description="How `resize` fills in pixels."
    )
    crop: Side | Sides | None = Field(None, description="Cut out of the centre: a square's side, or height and width.")
    scale: Positive | None = Field(None, description="Multiplies every value, such as 1/255 = 0.00392156862745098.")
    mean: Finite | list[Finite] | None = Field(
        None, description="Subtracted after `scale`: one number, or one for each channel."
    )
    std: Positive | list[Positive] | None = Field(
        None, description="Divides what `mean` left: one number above 0, or one for each channel."
    )
    pad: Padding | None = Field(
        None, description="Height and width to fill up to, below and to the right, after everything else."
    )
    pad_value: Finite = Field(0.0, description="What `pad` fills with.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        """One number a channel: `mean`, `std` and `channels` must tell of equally many."""
        counts = {name: len(value) for name in ("mean", "std") if isinstance(value := getattr(self, name), list)}
        if self.channels is not None:
            counts[f"channels {self.channels}"] = CHANNELS[self.channels]
        if len(set(counts.values())) > 1 or 0 in counts.values():
            told = ", ".join(f"`{name}` {count}" for name, count in counts.items())
            raise ValueError(f"these must tell of equally many channels, and of one at least: {told}")
        return self

    def asked(self) -> dict[str, Any]:
        """The fields as JSON, as the reader of datasets takes them."""
        return self.model_dump(mode="json")
