"""What real workers do shows in the figures of the API, which they never talk to, and in their logs."""

import json
import re
from pathlib import Path

from service import broker, examples
from tests.conftest import wait_until
from tests.stack import running


def test_chunks_of_a_real_worker_are_counted(tmp_path: Path, valkey: str) -> None:
    """After an evaluation its chunks are in the histogram; what its worker logged names it."""
    with running(tmp_path, f"sqlite:///{tmp_path}/lesion.db", valkey) as stack:
        stack.worker(broker.INSPECTIONS)
        stack.worker(broker.EVALUATIONS)
        answer = stack.submit(*examples.paths("learned"), '{"precision": 0.1}')
        ended = stack.ended(answer.json()["id"])
        assert ended["state"] == "succeeded"

        def chunks() -> float:
            found = re.search(r"^lesion_chunk_seconds_count (\S+)$", stack.client.get("/metrics").text, re.MULTILINE)
            return float(found[1]) if found else 0.0

        wait_until(lambda: chunks() >= 2, "the intact network's chunk and one of trials are told")
        metrics = stack.client.get("/metrics").text
        assert 'lesion_evaluations{state="succeeded"} 1.0' in metrics
        total = re.search(r"^lesion_chunk_seconds_sum (\S+)$", metrics, re.MULTILINE)
        assert total is not None
        assert float(total[1]) > 0
        logged = [line for line in (tmp_path / "worker-1.log").read_text().splitlines() if line.startswith("{")]
        events = {line["event"]: line for line in map(json.loads, logged)}
        assert events["evaluation.succeeded"]["evaluation"] == ended["id"]
