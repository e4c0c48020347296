"""Files of images into pixels, by Pillow; their sizes are bounded by the header before anything is allocated."""

import io
import warnings

import numpy as np

from worker.formats.refusals import Refused
from worker.formats.tables import Array, malformed

PIXELS_LIMIT = 64 * 1024**2  # of one image
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF")
DEEP = ("I", "F")  # Pillow's modes of more than eight bits a channel begin so; it would clip them


def decoded(data: bytes, mode: str, name: str) -> Array:
    """The pixels of a file, uint8[height, width, channels], turned as its EXIF says; of several frames the first.

    mode: `L` or `RGB`. name: what to call it in a refusal.
    """
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = PIXELS_LIMIT // 2  # Pillow itself refuses at twice this
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > PIXELS_LIMIT:
                    raise Image.DecompressionBombError
                if image.mode.startswith(DEEP):
                    raise malformed(
                        f"{name} has 16 bits or more a channel. Save it with 8, or the pixels as arrays (.npz)."
                    )
                pixels = np.asarray(ImageOps.exif_transpose(image).convert(mode))
    except (Refused, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        told = f"{name} has more than {PIXELS_LIMIT:,} pixels. Make it smaller, or leave it out."
        raise Refused("dataset-too-large", told) from error
    except Exception as error:  # a decoder on hostile bytes raises what it likes
        told = str(error)[:90] if isinstance(error, OSError | SyntaxError | ValueError) else "it is damaged"
        why = "it is of none of these formats" if "cannot identify" in told else told
        raise malformed(f"{name} cannot be decoded as JPEG, PNG, BMP, WebP or GIF: {why}. Leave it out.") from error
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
