"""Cases: the file that a format, a seed and a number stand for, always the same."""

from collections.abc import Callable
from functools import cache
from random import Random

from benchmarks.fuzz import archives, damage, footers, graphs, pictures, seeds, texts
from benchmarks.fuzz.seeds import Seed

BLIND = 0.3  # of the cases are damaged without a thought to their format
Shaped = Callable[[bytes, Random], bytes]


def _of_bundle(name: str, content: bytes, random: Random) -> bytes:
    return graphs.of_model(content, random) if name.endswith(".onnx") else damage.blind(content, random, content)


def _of_program(name: str, content: bytes, random: Random) -> bytes:
    if name.endswith(".json"):
        return texts.of_json(content, random)
    return texts.of_source(content, random) if name.endswith(".py") else damage.blind(content, random, content)


def _of_pictures(name: str, content: bytes, random: Random) -> bytes:
    return texts.of_table(content, random) if name.endswith(".csv") else pictures.of_picture(content, random)


SHAPED: dict[str, Shaped] = {
    "onnx": graphs.of_model,
    "bundle": archives.of_zip(_of_bundle),
    "pt2": archives.of_zip(_of_program),
    "torchscript": archives.of_zip(_of_program),
    "npz": archives.of_zip(texts.inside(texts.of_npy)),
    "safetensors": texts.of_safetensors,
    "parquet": footers.of_parquet,
    "csv": texts.of_table,
    "images": archives.of_zip(_of_pictures),
    "tar": archives.of_tar(_of_pictures),
    "json": texts.of_json,
    "form": texts.of_source,
}
FORMATS = tuple(SHAPED)


@cache
def corpus(form: str) -> list[Seed]:
    """The files of a format that are damaged."""
    return seeds.SEEDS[form]()


def case(form: str, seed: int, number: int) -> Seed:
    """A damaged file, and how it is read. One in a hundred is sound: what refuses everything is found out."""
    random = Random(f"{form}/{seed}/{number}")
    chosen, other = random.choice(corpus(form)), random.choice(corpus(form))
    name = f"{form}-{seed}-{number} of {chosen.name}"
    if number % 100 == 0:
        chosen = random.choice([each for each in corpus(form) if each.sound])
        return Seed(f"{form}-{seed}-{number}, {chosen.name}", chosen.data, chosen.asked)
    if random.random() < BLIND:
        return Seed(name, damage.blind(chosen.data, random, other.data), chosen.asked)
    try:
        return Seed(name, SHAPED[form](chosen.data, random), chosen.asked)
    except Exception:  # a file of the zoo may be too bad for a change of its format
        return Seed(name, damage.blind(chosen.data, random, other.data), chosen.asked)
