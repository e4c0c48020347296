"""Prints the table: a row a way, a column a network. `python -m benchmarks.sparing [--zoo FOLDER]`, minutes.

FOLDER: of `benchmarks.zoo`, with some networks trained; they are shown MNIST's test images.
"""

import argparse
from pathlib import Path

from benchmarks.sparing import looks
from benchmarks.sparing.sample import Sample, shipped, taken
from benchmarks.sparing.savings import WAYS, savings

ZOO = ("ladder", "grid")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoo", type=Path)
    parser.add_argument("--trials", type=int, default=20_000)
    arguments = parser.parse_args()
    samples = shipped(arguments.trials, 0)
    if arguments.zoo is not None:
        samples += _zoo(arguments.zoo, arguments.trials)
    for place, sample in enumerate(samples):
        print(f"{place + 1}. {sample.name}: intact {sample.accuracy:.3f}, auc {sample.right['plain'].mean():.3f}")
    found = [savings(sample) for sample in samples]
    print(f"| saves, in % of the trials | {' | '.join(str(place + 1) for place in range(len(samples)))} |")
    print("|---" * (len(samples) + 1) + "|")
    for way in WAYS:
        cells = [f"{100 * s[way].value:+.0f} [{100 * s[way].low:+.0f}, {100 * s[way].high:+.0f}]" for s in found]
        print(f"| {way} | {' | '.join(cells)} |", flush=True)
    told = ", ".join(f"{100 * looks.saved(chunks):.1f} % of {chunks} chunks" for chunks in (16, 64, 390, 1953))
    print(f"A gate's looks, each interval knowing that they share trials: saves, with a budget of so much, {told}.")


def _zoo(folder: Path, trials: int) -> list[Sample]:
    from benchmarks.zoo import examples

    found = []
    for model in sorted((folder / "nets").glob("*.onnx")):
        group, family = model.name.split("-")[:2]
        if group in ZOO:
            shown = examples.test(folder, family)
            found.append(taken(model.stem, model, shown.x, shown.y, trials, 0))
    return found


if __name__ == "__main__":
    main()
