"""Scores every pair of a gallery over HTTP, on the whole service as `lesion serve` starts it, and writes the tables."""

import json
import mimetypes
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.gallery import pairs, table
from benchmarks.gallery.pairs import Pair
from benchmarks.mnist import serve

RESULTS = "results.json"
LONGEST = 1800  # seconds that one pair may take


def score(folder: Path, only: Sequence[str]) -> None:
    """Score all pairs, or those whose names hold one of these words; then write docs/ as `tell` does."""
    asked = [pair for pair in pairs.read(folder) if not only or any(word in pair.name for word in only)]
    with ExitStack() as stack:
        base_url = stack.enter_context(serve(stack.enter_context(tempfile.TemporaryDirectory())))
        http = stack.enter_context(httpx2.Client(base_url=base_url, timeout=300, trust_env=False))
        for pair in asked:
            outcome = _scored(http, folder, pair)
            _keep(folder, pair, outcome)
            print(table.line(pair, outcome), flush=True)
    tell(folder)


def tell(folder: Path) -> None:
    """Write docs/ from the results that there are; exits with 1 where they disagree with what is known."""
    wrong = table.write(pairs.read(folder), json.loads((folder / RESULTS).read_text()))
    for sentence in wrong:
        print(f"! {sentence}")
    raise SystemExit(bool(wrong))


def _keep(folder: Path, pair: Pair, outcome: dict[str, Any]) -> None:
    path = folder / RESULTS
    results = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(results | {pair.name: outcome}, indent=1) + "\n")


def _scored(http: httpx2.Client, folder: Path, pair: Pair) -> dict[str, Any]:
    """What came of a pair: `seconds` from upload to score, `evaluation` or `problem`, and what was `found`."""
    start = time.perf_counter()
    with ExitStack() as stack:
        sent = [("model", folder / name) for name in pair.model] + [("dataset", folder / pair.dataset)]
        parts = [(field, (path.name, stack.enter_context(path.open("rb")), _kind(path))) for field, path in sent]
        config = {"config": json.dumps(pair.config)}
        answer = http.post("/v1/evaluations", params={"wait": 60}, files=parts, data=config)
    if not answer.is_success:
        found = _found_anyway(http, folder, pair)
        return {"seconds": time.perf_counter() - start, "problem": answer.json(), "found": found}
    evaluation = answer.json()
    while evaluation["ended_at"] is None and time.perf_counter() - start < LONGEST:
        evaluation = http.get(evaluation["links"]["self"], params={"wait": 60}).json()
    seconds = time.perf_counter() - start
    model = http.get(f"/v1/models/{evaluation['model']}").json()
    dataset = http.get(f"/v1/datasets/{evaluation['dataset']}").json()
    examples = (dataset["found"] or {}).get("examples")
    return {"seconds": seconds, "evaluation": evaluation, "found": model["found"], "examples": examples}


def _found_anyway(http: httpx2.Client, folder: Path, pair: Pair) -> dict[str, Any] | None:
    """What was found in the model alone, of a pair that was refused."""
    with ExitStack() as stack:
        paths = [folder / name for name in pair.model]
        parts = [("file", (path.name, stack.enter_context(path.open("rb")), _kind(path))) for path in paths]
        answer = http.post("/v1/models", files=parts)
    deadline = time.monotonic() + 60
    model: dict[str, Any] = answer.json()
    while model.get("state") == "received" and time.monotonic() < deadline:
        time.sleep(0.5)
        model = http.get(f"/v1/models/{model['id']}").json()
    return model.get("found")


def _kind(path: Path) -> str:
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"
