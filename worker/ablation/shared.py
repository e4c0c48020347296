"""Work that trials share: one lesion met by many examples, or one example by many lesions of one site.

- Nothing is lost: the intact network answers, once for each example (`unhurt`).
- One site loses units: what comes before it is computed once for each example (`halves`).
- Several sites do, and many examples share the lesion: it is put into the weights, and what is lost is not computed
  (`pruned`). What comes before all sites is computed once for each example, for all lesions (`prefix`).

Which way a trial goes depends on the other trials of its call, so the last bits of its outputs do too. A chunk asks for
the same trials whoever computes it, so its outputs are the same, bit for bit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.ablation import feeding, graft, halves, prefix, pruned, sums
from worker.ablation.feeding import how_many
from worker.ablation.network import Array, Floats, Inputs, Ints, Masks, Network
from worker.ablation.prefix import Prefix
from worker.ablation.sessions import Session
from worker.ablation.sums import Sums
from worker.ablation.unhurt import Unhurt

Bools = NDArray[np.bool_]
KEPT_BYTES = 128 * 1024**2  # of activations that are kept at once for a site's lesions
KEPT_MODELS = 64 * 1024**2  # bytes of weights in sessions that are kept for the next call
# Multiply-adds that making a session takes the time of, for each node and for each weight. Measured: 8 ms for an MLP of
# 0.7 million weights, 21 ms for a ResNet-20, 130 ms for a CNN of 4.7 million, 54 ms for a transformer of 0.8 million.
NODE_WORK, WEIGHT_WORK = 2.5e7, 2500


@dataclass(frozen=True)
class Cut:
    """A site's two sessions, what crosses between them, and the bytes of their weights."""

    before: Session
    behind: Session
    crossing: list[str]
    rows: list[bool]
    size: int
    sums: Sums | None


class Shared:
    """Outputs of trials that share work, of a network that is masked. `forget` after it was masked anew."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._cuts: dict[int, Cut | None] = {}
        self._prefix: Prefix | None = None
        self._sought = False
        self._unhurt = Unhurt()

    def forget(self) -> None:
        """Drop what belongs to former masks."""
        self._cuts.clear()
        self._prefix, self._sought = None, False
        self._unhurt = Unhurt()

    def outputs(self, inputs: Inputs, examples: Ints, lesions: Ints, masks: Masks) -> Floats:
        """Outputs float32[T, *tail], as `Network.outputs` gives them, up to rounding."""
        network = self._network
        if network.alone or not len(examples):
            return network.outputs(inputs, examples, lesions, masks)
        parts: list[tuple[Ints, Floats]] = []
        for at, run in self._ways(inputs, examples, lesions, masks):
            parts.append((at, run()))
        found = np.empty((len(examples), *parts[0][1].shape[1:]), np.float32)
        for at, part in parts:
            found[at] = part
        return found

    def alone(self, inputs: Inputs, examples: Ints, places: Ints, lesions: Ints, masks: Masks) -> tuple[Floats, Floats]:
        """Units lost alone, and what to hold them against: float32[T, *tail] both.

        Trial t is examples[places[t]] with lesion lesions[t], in which one site at most loses anything. The second
        array is the intact network's answer to the same example, computed in the same way to the last bit: a unit that
        changes nothing differs by exactly zero.
        """
        network = self._network
        both = _and_none(masks)
        if network.alone or not len(places):
            rows = np.tile(examples[places], 2)
            given = network.outputs(inputs, rows, np.concatenate([lesions, lesions * 0 + len(masks[0])]), both)
            return given[: len(places)], given[len(places) :]
        sites = np.stack([~mask.all(axis=1) for mask in masks], axis=1).argmax(axis=1)[lesions]
        found: list[Floats | None] = [None, None]
        for site in np.unique(sites):
            at = np.flatnonzero(sites == site)
            own, first = np.unique(places[at], return_inverse=True)
            asked = np.concatenate([examples[places[at]], examples[own]])
            with_none = np.concatenate([lesions[at], np.full(len(own), len(masks[0]))])
            given = self._of_site(inputs, int(site), asked, with_none, both)
            pair = given[: len(at)], given[len(at) :][first]
            for which, part in enumerate(pair):
                if found[which] is None:
                    found[which] = np.empty((len(places), *part.shape[1:]), np.float32)
                array = found[which]
                assert array is not None
                array[at] = part
        assert found[0] is not None
        assert found[1] is not None
        return found[0], found[1]

    def _ways(
        self, inputs: Inputs, examples: Ints, lesions: Ints, masks: Masks
    ) -> Iterator[tuple[Ints, Callable[[], Floats]]]:
        """Some trials each, and how to compute them."""
        network = self._network
        losing = np.stack([~mask.all(axis=1) for mask in masks], axis=1)  # bool[L, sites]
        many = losing.sum(axis=1)
        at = np.flatnonzero(many[lesions] == 0)
        if len(at):
            yield at, lambda at=at: self._intact(inputs, examples[at])  # type: ignore[misc]
        for site in np.flatnonzero(losing[many == 1].any(axis=0)):
            at = np.flatnonzero((many[lesions] == 1) & losing[lesions, site])
            yield at, lambda at=at, site=site: self._of_site(inputs, int(site), examples[at], lesions[at], masks)  # type: ignore[misc]
        rest = np.flatnonzero(many[lesions] > 1)
        counts = np.bincount(lesions[rest], minlength=len(many))
        worth = self._least(inputs) <= counts
        plain = rest[~worth[lesions[rest]]]
        if len(plain):
            yield plain, lambda: network.outputs(inputs, examples[plain], lesions[plain], masks)
        for lesion in np.flatnonzero(worth & (counts > 0)):
            at = rest[lesions[rest] == lesion]
            own = [mask[lesion] for mask in masks]
            yield at, lambda at=at, own=own: self._pruned(inputs, examples[at], own)  # type: ignore[misc]

    def _least(self, inputs: Inputs) -> float:
        """How many examples must share a lesion for a session of its own to pay. By arithmetic, the same everywhere."""
        work, weights, nodes = self._network.size(inputs)
        cost = NODE_WORK * nodes + WEIGHT_WORK * weights
        return cost / max(work, 1) if self._network.multiplies else np.inf

    def _intact(self, inputs: Inputs, examples: Ints) -> Floats:
        known = self._unhurt.find(examples)
        if known is not None:
            return known
        own, first = np.unique(examples, return_inverse=True)
        kept = [np.ones((1, site.units), np.bool_) for site in self._network.scope]
        found = self._network.outputs(inputs, own, np.zeros(len(own), np.int64), kept)
        self.keep(inputs, own, found)
        return np.asarray(found[first])

    def keep(self, inputs: Inputs, examples: Ints, outputs: Floats) -> None:
        """Outputs of the intact network, `Network.intact`'s or these, for when nothing is lost again."""
        self._unhurt.keep(how_many(inputs), examples, outputs)

    def _pruned(self, inputs: Inputs, examples: Ints, masks: list[Bools]) -> Floats:
        network, shared = self._network, self._prefix_of(inputs)
        model = network.grafted() if shared is None else shared.behind
        columns = pruned.prune(model, network.scope, masks, () if shared is None else shared.names)
        if shared is not None:
            shared.compute(inputs, examples)
        session = network.session(model)
        taken = {value.name for value in session.get_inputs()}
        masked = {graft.mask_name(index): mask for index, mask in enumerate(masks) if graft.mask_name(index) in taken}

        def run(rows: Ints, count: int) -> Floats:
            if shared is None:
                feed = feeding.feed(network.inputs, inputs, examples[rows])
            else:
                feed = {name: array for name, array in shared.feed(examples[rows]).items() if name in taken}
                for name, left in columns.items():
                    feed[name] = feed[name].take(left.kept, axis=left.axis)
            for name, mask in masked.items():
                site = network.scope[int(name.rsplit("_", 1)[1])]
                feed[name] = np.tile(mask.astype(np.float32), (len(rows), 1)).reshape(graft.mask_shape(site, len(rows)))
            return network.answer(session, feed, len(rows))[:count]

        many = 1 if shared is None else shared.batches_a_run(network.batch(inputs))
        return np.concatenate(list(network.each(inputs, np.arange(len(examples)), run, many)))

    def _prefix_of(self, inputs: Inputs) -> Prefix | None:
        if not self._sought:
            self._prefix, self._sought = prefix.of(self._network, inputs), True
        return self._prefix

    def _of_site(self, inputs: Inputs, site: int, examples: Ints, lesions: Ints, masks: Masks) -> Floats:
        """One site loses units: its examples come up to it once, a few at a time, and go on with each lesion."""
        network, cut = self._network, self._cut(site, inputs)
        own = np.unique(examples)
        if cut is None or len(examples) < 2 * len(own):
            return network.outputs(inputs, examples, lesions, masks)
        found: Floats | None = None
        start, step = 0, network.batch(inputs)
        while start < len(own):
            block = own[start : start + step]
            kept = prefix.computed(network, cut.before, cut.rows, inputs, block)
            if kept is None:
                self._cuts[site] = None
                return network.outputs(inputs, examples, lesions, masks)
            start += len(block)
            step = _step(kept, cut, len(block), network.batch(inputs))
            at = np.flatnonzero((examples >= block[0]) & (examples <= block[-1]))
            places = np.searchsorted(block, examples[at])
            part = self._summed(cut, inputs, kept, places, lesions[at], masks[site])
            if part is None:
                part = self._behind(cut, inputs, kept, site, places, masks[site][lesions[at]])
            if found is None:
                found = np.empty((len(examples), *part.shape[1:]), np.float32)
            found[at] = part
        assert found is not None
        return found

    def _summed(
        self, cut: Cut, inputs: Inputs, kept: list[Array], places: Ints, lesions: Ints, masks: Bools
    ) -> Floats | None:
        """What is behind the masks, if each lesion loses what the next one loses, and each meets all that is kept."""
        own, which = np.unique(lesions, return_inverse=True)
        order = np.argsort(masks[own].sum(axis=1), kind="stable")
        nested, many = masks[own[order]], int(places.max()) + 1
        if cut.sums is None or len(own) < 2 or len(places) != many * len(own) or not (nested[:-1] <= nested[1:]).all():
            return None
        network, summed = self._network, cut.sums
        if len(own) * network.batch(inputs) * summed.weights.shape[1] > sums.MOST_NUMBERS:
            return None
        crossing = dict(zip(cut.crossing, kept, strict=True))

        def run(rows: Ints, count: int) -> Floats:
            return summed.outputs(network, crossing, rows, nested)[:count]

        found = np.concatenate(list(network.each(inputs, np.arange(many), run)))
        return np.asarray(found[places, np.argsort(order)[which]])

    def _behind(self, cut: Cut, inputs: Inputs, kept: list[Array], site: int, rows: Ints, masks: Bools) -> Floats:
        network = self._network
        name, kind = graft.mask_name(0), np.float32 if network.multiplies else np.bool_
        taken = {value.name for value in cut.behind.get_inputs()}

        def run(trials: Ints, count: int) -> Floats:
            crossing = zip(cut.crossing, cut.rows, kept, strict=True)
            feed = {each: array[rows[trials]] if has else array for each, has, array in crossing if each in taken}
            shape = graft.mask_shape(network.scope[site], len(trials))
            feed[name] = masks[trials].reshape(shape).astype(kind)
            return network.answer(cut.behind, feed, len(trials))[:count]

        return np.concatenate(list(network.each(inputs, np.arange(len(rows)), run)))

    def _cut(self, site: int, inputs: Inputs) -> Cut | None:
        if site not in self._cuts:
            self._cuts[site] = self._made(site, inputs)
            while sum(each.size for each in self._cuts.values() if each) > KEPT_MODELS and len(self._cuts) > 1:
                self._cuts.pop(next(iter(self._cuts)))
        return self._cuts[site]

    def _made(self, site: int, inputs: Inputs) -> Cut | None:
        network = self._network
        copies = [network.grafted([site]) for _ in range(2)]
        found = halves.cut(copies[0], copies[1], network.output)
        if found is None:
            return None
        weights = [*found.before.graph.initializers.values(), *found.behind.graph.initializers.values()]
        size = sum(each.const_value.nbytes for each in weights if each.const_value is not None)
        before_masks = network.work_of(found.before, inputs)
        work = None if before_masks is None else network.size(inputs)[0] - before_masks
        before, behind = network.session(found.before, found.crossing), network.session(found.behind)
        summed = sums.made(network, found.behind, found.crossing, found.rows, work)
        return Cut(before, behind, found.crossing, found.rows, size, summed)


def _and_none(masks: Masks) -> list[Bools]:
    """The masks, and a last row in which nothing is lost."""
    return [np.concatenate([mask, np.ones((1, mask.shape[1]), np.bool_)]) for mask in masks]


def _step(kept: list[Array], cut: Cut, taken: int, batch: int) -> int:
    """How many examples come up to the site at a time: whole batches, up to what may be kept."""
    each = sum(array.nbytes for array, has in zip(kept, cut.rows, strict=True) if has) // taken
    return max(KEPT_BYTES // max(each, 1) // batch, 1) * batch
