"""A hint says that there is work, no more: one is enough for all that waits."""

from pathlib import Path

import redis

from service import broker
from service.examples import paths
from tests.conftest import wait_until
from tests.stack import EVALUATIONS, running


def test_a_worker_goes_on_until_nothing_waits(tmp_path: Path, valkey: str) -> None:
    """Of three hints two get lost, and nobody sweeps: the worker that reads the third does all three evaluations."""
    url = f"sqlite:///{tmp_path}/lesion.db"
    with running(tmp_path, url, valkey, inspect_wait=0, sweep_seconds=3600) as stack:
        made = [stack.submit(*paths("learned"), f'{{"precision": 0.1, "seed": {seed}}}').json() for seed in range(3)]
        wait_until(lambda: broker.waiting(broker.EVALUATIONS) == 3, "three hints")
        redis.Redis(unix_socket_path=valkey.removeprefix("redis+socket://")).flushall()
        assert broker.hint_evaluation(made[0]["id"])
        stack.worker()
        for each in made:
            assert stack.ended(each["id"])["state"] == "succeeded"
        assert stack.client.get(f"{EVALUATIONS}?state=queued").json()["data"] == []
