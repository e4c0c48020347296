"""Does the score predict? `python -m benchmarks.zoo FOLDER` does every step; a run that was stopped goes on.

train     trains the networks and exports them to ONNX (median 3.6 s each on a busy machine of two cores)
score     scores them over HTTP, on the service as `lesion serve` starts it (3.2 s each, likewise)
measure   measures what else is said to predict
tell      writes docs/evidence/ from what lies in FOLDER, and the tables of docs/evidence.md
"""

import argparse
from pathlib import Path

from benchmarks.zoo import factors
from benchmarks.zoo.factors import Recipe

STEPS = ("train", "score", "measure", "tell")


def main() -> None:
    """All steps, or one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--step", choices=STEPS)
    parser.add_argument("--only", default="", help="networks whose name begins so")
    parser.add_argument("--minutes", type=float, default=600, help="stop scoring after so long; a next run goes on")
    arguments = parser.parse_args()
    recipes = [recipe for recipe in factors.every() if recipe.name.startswith(arguments.only)]
    for step in STEPS if arguments.step is None else [arguments.step]:
        run(step, arguments.folder, recipes, 60 * arguments.minutes)


def run(step: str, folder: Path, recipes: list[Recipe], seconds: float) -> None:
    """One step. Imported here, because torch takes seconds."""
    match step:
        case "train":
            from benchmarks.zoo.training import train

            train(folder, recipes)
        case "score":
            from benchmarks.zoo.score import score

            print(f"{score(folder, recipes, seconds)} left to score")
        case "measure":
            from benchmarks.zoo.rivals import measure

            measure(folder, recipes)
        case _:
            from benchmarks.zoo.telling import tell

            tell(folder, recipes)


if __name__ == "__main__":
    main()
