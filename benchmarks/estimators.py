"""`adaptive` against `grid` on both shipped examples, through the service: `python -m benchmarks.estimators`.

The grid is the paper's protocol: 60 orderings x 41 fractions x all 2,000 examples, 4.9 million passes a network. Both
must agree within their intervals.
"""

import argparse
import tempfile
import time
from typing import Any

from benchmarks.mnist import serve
from service.client import Client
from service.examples import paths


def main() -> None:
    """Print a line for each network and estimator."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orderings", type=int, default=60)
    parser.add_argument("--fractions", type=int, default=41)
    arguments = parser.parse_args()
    grid = {"estimator": "grid", "orderings": arguments.orderings, "fractions": arguments.fractions}
    agree = True
    with tempfile.TemporaryDirectory() as data, serve(data) as base_url, Client(base_url) as client:
        for name in ("learned", "memorised"):
            adaptive = _score(client, name, {"estimator": "adaptive"})
            agree &= _overlap(adaptive, _score(client, name, grid))
    print("equal within their intervals" if agree else "NOT equal within their intervals")
    raise SystemExit(0 if agree else 1)


def _score(client: Client, name: Any, config: dict[str, Any]) -> tuple[float, float]:
    start = time.perf_counter()
    model, dataset = paths(name)
    result = client.evaluate(model, dataset, config).wait().result
    seconds = time.perf_counter() - start
    assert result is not None
    assert result.score is not None
    assert result.auc is not None
    score, auc = result.score, result.auc
    print(
        f"{name:<10} {result.estimator:<9} score {score.value:.4f} [{score.low:.4f}, {score.high:.4f}]  "
        f"auc {auc.value:.4f} [{auc.low:.4f}, {auc.high:.4f}]  {result.cost.passes:>9,} passes {seconds:>7.1f} s",
        flush=True,
    )
    return score.low, score.high


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


if __name__ == "__main__":
    main()
