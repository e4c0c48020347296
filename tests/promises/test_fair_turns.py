"""With real workers: one tenant's long queue does not delay another's single evaluation."""

from pathlib import Path

from sqlalchemy import func, select

from service.examples import paths
from service.schemas import Scope
from service.store import keys, tenants
from service.store.session import reading, transaction
from service.store.tables import ClaimRow
from tests.conftest import wait_until
from tests.stack import EVALUATIONS, running

MANY = 8
SCOPES: list[Scope] = ["models:write", "datasets:write", "evaluations:write", "evaluations:read"]


def test_a_single_evaluation_of_another_tenant_is_next(tmp_path: Path, valkey: str) -> None:
    """One worker, eight evaluations of A queued, then one of B: it is done before A's second has ended."""
    url = f"sqlite:///{tmp_path}/lesion.db"
    with running(tmp_path, url, valkey, inspect_wait=0, keys="required") as stack:
        with transaction(stack.client.app.state.backends.engine) as db:  # type: ignore[attr-defined]
            a, b = (
                {"Authorization": "Bearer " + keys.create(db, tenants.ensure(db, name).id, name, SCOPES).secret}
                for name in "ab"
            )
        model, dataset = (path.read_bytes() for path in paths("learned"))

        def submit(headers: dict[str, str], seed: int) -> str:
            files = {"model": model, "dataset": dataset}
            config = {"config": f'{{"precision": 0.05, "seed": {seed}}}'}
            answer = stack.client.post(EVALUATIONS, files=files, data=config, headers=headers)
            assert answer.status_code == 202, answer.text
            return str(answer.json()["id"])

        many = [submit(a, seed) for seed in range(MANY)]
        single = submit(b, 0)
        stack.worker()

        def state(evaluation: str, headers: dict[str, str]) -> str:
            return str(stack.client.get(f"{EVALUATIONS}/{evaluation}", headers=headers).json()["state"])

        wait_until(lambda: state(single, b) == "succeeded", "B's evaluation", 150)
        ended = [evaluation for evaluation in many if state(evaluation, a) == "succeeded"]
        assert len(ended) <= 2, "A's queue went first"
        assert stack.client.get(f"{EVALUATIONS}/{single}", headers=a).status_code == 404


def test_a_small_evaluation_does_not_wait_for_a_large_one_that_all_workers_share(tmp_path: Path, valkey: str) -> None:
    """Two workers share what takes long; one of them leaves it for a small one of the same tenant, and comes back."""
    url = f"sqlite:///{tmp_path}/lesion.db"
    with running(tmp_path, url, valkey, inspect_wait=0) as stack:
        large = stack.submit(*paths("learned"), '{"precision": 0.003, "limits": {"workers": 2}}').json()["id"]
        stack.worker()
        stack.worker()

        def holders() -> int:
            with reading(stack.client.app.state.backends.engine) as db:  # type: ignore[attr-defined]
                return db.scalar(select(func.count()).where(ClaimRow.evaluation == large)) or 0

        wait_until(lambda: holders() == 2, "both are at it", 60)
        small = stack.submit(*paths("memorised"), '{"precision": 0.1}').json()["id"]
        assert stack.ended(small)["state"] == "succeeded"
        assert stack.get(large)["state"] == "running", "the large one was too small for this test"
        wait_until(lambda: holders() == 2, "the second one has come back", 60)
        stack.client.delete(f"{EVALUATIONS}/{large}")
