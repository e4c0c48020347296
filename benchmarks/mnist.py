"""Upload to score over HTTP, timed from outside: `python -m benchmarks.mnist FOLDER` (files: benchmarks.mnist_files).

Starts `lesion serve` on an empty folder, posts the model and all 10,000 examples in one multipart request, waits for
the score at ±0.01, 95 %, and prints what it took. `--runs` repeats it, each time with another seed on the same server.
"""

import argparse
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2


@contextmanager
def serve(data: str) -> Iterator[str]:
    """The whole service, from its command line. Gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [str(Path(sys.executable).with_name("lesion")), "serve", "--data", data, "--port", port]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    base_url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not _ready(base_url):
            assert time.monotonic() < deadline, "the service did not start"
            time.sleep(0.1)
        yield base_url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _ready(base_url: str) -> bool:
    try:
        return httpx2.get(f"{base_url}/readyz").is_success
    except httpx2.TransportError:
        return False


def evaluate(base_url: str, folder: Path, seed: int) -> tuple[float, dict[str, Any]]:
    """Upload both files and wait. Returns the seconds on the wall and the evaluation."""
    start = time.perf_counter()
    with (folder / "mnist.onnx").open("rb") as model, (folder / "t10k.npz").open("rb") as dataset:
        answer = httpx2.post(
            f"{base_url}/v1/evaluations",
            params={"wait": 60},
            files={"model": model, "dataset": dataset},
            data={"config": f'{{"precision": 0.01, "seed": {seed}}}'},
            timeout=120,
        )
    seconds = time.perf_counter() - start
    assert answer.status_code == 200, answer.text
    return seconds, answer.json()


def main() -> None:
    """Print a line for each run, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as data, serve(data) as base_url:
        for seed in range(arguments.runs):
            seconds, evaluation = evaluate(base_url, arguments.folder, seed)
            result = evaluation["result"]
            score, cost = result["score"], result["cost"]
            half = (score["high"] - score["low"]) / 2
            print(
                f"seed {seed}: A(0) {result['intact']['value']:.4f}, score {score['value']:.4f} ±{half:.4f}, "
                f"{cost['passes']:,} ablated passes, {seconds:.2f} s from upload to score"
            )
            rows.append((seconds, cost["passes"]))
    print(
        f"median of {len(rows)}: {statistics.median(row[0] for row in rows):.2f} s, "
        f"{statistics.median(row[1] for row in rows):,.0f} passes"
    )


if __name__ == "__main__":
    main()
