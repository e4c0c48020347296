"""Evaluations of simulated networks on datasets that are larger than what the intact pass takes."""

import json
from dataclasses import replace

import numpy as np

from service.schemas import Config
from service.scoring import Estimate, Payload, Reference, Tally, enough, live, stored_reference
from tests.service.scoring.simulation import Needs, Truth, design
from tests.service.scoring.valued import Valued
from worker import bounds, first, lots
from worker.ablation import trials
from worker.ablation.trials import Design, draw
from worker.targets import Bools, Floats, Ints

Shape = Needs | Valued


def weighed(network: Shape) -> bool:
    return isinstance(network, Valued) and network.target.lots is not None


def shown(network: Shape, plan: Design, low: int, high: int) -> tuple[Ints, Bools | Floats]:
    """The examples of some chunks, and what the intact network gives to them."""
    chunks = [trials.pushed(plan, index) for index in range(low, high)]
    if isinstance(network, Needs):
        examples = np.concatenate(chunks)
        return examples, network.intact(examples)
    if weighed(network):
        chunks = [lots.drawn(network._ends, each, plan.seed, low + place) for place, each in enumerate(chunks)]
    examples = np.concatenate(chunks)
    values = network.table[examples, -1]
    return examples, network.target.drawn(values, examples) if weighed(network) else values


def referred(network: Shape, known: Truth, plan: Design, config: Config) -> Reference:
    """What is known after the intact pass, as a worker stores and reads it."""
    truth = known.reference
    part = bounds.part(
        config,
        truth.metric.name,
        plan,
        chance=truth.chance,
        weighed=weighed(network),
        show=lambda low, high: shown(network, plan, low, high),
    )
    if part is None:
        return truth
    payload = first.payload(part.intact, truth.chance, truth.binary, None, None, part.values)
    return stored_reference(json.loads(json.dumps(payload)), truth.metric.name)


def chunk(network: Shape, plan: Design, index: int, reference: Reference) -> Payload:
    """A chunk as a worker stores it, with what the intact network gave to its examples, if it was shown them."""
    payload = network.count(draw(plan, index), plan, index)
    if reference.intact.of is not None and index * trials.chunk_size(plan) >= reference.examples:
        del payload["intact"]
    return payload


def evaluated(
    network: Shape, known: Truth, seed: int, config: Config, most: int = 400
) -> tuple[Estimate, Reference, Tally]:
    """A whole evaluation, its stop rule included: the score, what it was held against, and the tally."""
    assert config.precision is not None
    plan = design(network, seed)
    reference = referred(network, known, plan, config)
    tally = Tally.empty(trials.cells(plan))
    for index in range(most):
        tally = tally.add(chunk(network, plan, index, reference))
        if enough(
            tally,
            estimator="adaptive",
            reference=reference,
            confidence=config.confidence,
            precision=config.precision,
            chunks=index + 1,
        ):
            break
    return score(tally, reference, config.confidence), reference, tally


def measured(network: Shape, known: Truth, seed: int, config: Config, count: int) -> tuple[Estimate, Reference, Tally]:
    """The same of so many chunks."""
    plan = design(network, seed)
    reference = referred(network, known, plan, config)
    tally = Tally.of(trials.cells(plan), (chunk(network, plan, index, reference) for index in range(count)))
    return score(tally, reference, config.confidence), reference, tally


def score(tally: Tally, reference: Reference, confidence: float = 0.95) -> Estimate:
    found = live(tally, estimator="adaptive", reference=reference, confidence=confidence)
    assert found is not None
    return found


def unaware(reference: Reference) -> Reference:
    """The same, taken for exact: what an interval would be that leaves the part of the dataset out."""
    return replace(reference, intact=replace(reference.intact, doubt=0.0))
