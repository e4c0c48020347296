"""From submit to score, as a caller sees it: a running service, both files uploaded, the MNIST CNN of the gallery.

`python -m benchmarks.speed.submitted FOLDER` starts `lesion serve` on an empty folder, uploads model and dataset, lets
one evaluation warm it up, and times others over HTTP, each with a seed of its own, so that none is known already.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import httpx2

from benchmarks.mnist import serve
from service.client import Client

LONGEST = 60  # seconds that an evaluation is waited for


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--precision", type=float, default=0.01)
    asked = parser.parse_args()
    seconds: list[float] = []
    passes: list[int] = []
    with tempfile.TemporaryDirectory() as data, serve(data) as base_url, Client(base_url) as client:
        model = client.inspected(client.upload_model(asked.folder / "mnist.onnx"))
        dataset = client.inspected(client.upload_dataset(asked.folder / "t10k.npz"))
        for seed in range(asked.runs + 1):
            body = {
                "model": model.id,
                "dataset": dataset.id,
                "config": {"precision": asked.precision, "seed": seed},
            }
            began = time.perf_counter()
            answer = httpx2.post(
                f"{base_url}/v1/evaluations", params={"wait": LONGEST}, json=body, timeout=2 * LONGEST, trust_env=False
            )
            spent = time.perf_counter() - began
            answer.raise_for_status()
            if seed:  # the first one is the warm-up
                seconds.append(spent)
                passes.append(answer.json()["result"]["cost"]["passes"])
    print(
        json.dumps({"seconds": statistics.median(seconds), "each": seconds, "passes": int(statistics.median(passes))})
    )


if __name__ == "__main__":
    main()
