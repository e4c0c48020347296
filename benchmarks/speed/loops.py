"""What people write themselves: a loop over forward hooks, one in onnxruntime with masks, Captum, nnsight.

Each answers one question: the logits of some examples with some units lost. A mask is bool[units] a site, True = kept,
the same for a whole batch. Nothing of Lesion's is imported but where a file's masks are.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.speed import make, networks
from benchmarks.speed.networks import Place

Masks = Sequence[NDArray[np.bool_]]
Floats = NDArray[np.float32]
THREADS = 2


def masked(place: Place, x: Tensor, mask: Tensor) -> Tensor:
    """A module's output, or the input of an output projection, without the units that are lost."""
    if place.way == "channels":
        return x * mask.view(1, -1, 1, 1)
    if place.way == "heads":
        return (x.unflatten(-1, (place.units, -1)) * mask[:, None]).flatten(-2)
    return x * mask


class Hooks:
    """A plain loop: hooks on once, a mask for each, forward. The usual way, at its best: no hook is set anew."""

    def __init__(self, name: str, folder: Path) -> None:
        torch.set_num_threads(THREADS)
        self.net = make.network(name, folder)
        self.places = networks.PLACES[name](self.net)
        self._masks: list[Tensor | None] = [None] * len(self.places)
        modules = dict(self.net.named_modules())
        for index, place in enumerate(self.places):
            if place.way == "heads":
                modules[place.module].register_forward_pre_hook(self._before(index, place))
            else:
                modules[place.module].register_forward_hook(self._behind(index, place))

    def _before(self, index: int, place: Place) -> Callable[..., Any]:
        def hook(_module: nn.Module, given: tuple[Tensor]) -> Any:
            mask = self._masks[index]
            return None if mask is None else (masked(place, given[0], mask),)

        return hook

    def _behind(self, index: int, place: Place) -> Callable[..., Any]:
        def hook(_module: nn.Module, _given: Any, found: Tensor) -> Any:
            mask = self._masks[index]
            return None if mask is None else masked(place, found, mask)

        return hook

    def ask(self, x: Floats, masks: Masks) -> Floats:
        """Logits. A site that loses nothing costs nothing."""
        self._masks = [None if mask.all() else torch.from_numpy(mask.astype(np.float32)) for mask in masks]
        with torch.inference_mode():
            found: Floats = self.net(torch.from_numpy(x)).numpy()
            return found


class Runtime:
    """The same loop in onnxruntime, over a file that was exported with the hooks on and the masks as inputs."""

    def __init__(self, name: str, folder: Path) -> None:
        hooks = Hooks(name, folder)
        self.places = hooks.places
        path = folder / f"{name}-masked.onnx"
        if not path.exists():
            export(hooks, name, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def ask(self, x: Floats, masks: Masks) -> Floats:
        """Logits."""
        feed = {f"mask{index}": mask.astype(np.float32) for index, mask in enumerate(masks)}
        [found] = self._session.run(None, {"x": x, **feed})
        return np.asarray(found)


class Unmasked:
    """Nothing is lost: the network as it was exported, in onnxruntime. What is left to gain is told from it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.places: list[Place] = []
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        self._session = onnxruntime.InferenceSession(
            folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"]
        )

    def ask(self, x: Floats, masks: Masks) -> Floats:
        """Logits."""
        [found] = self._session.run(None, {"x": x})
        return np.asarray(found)


class _Exported(nn.Module):
    def __init__(self, hooks: Hooks) -> None:
        super().__init__()
        self.net, self._hooks = hooks.net, hooks

    def forward(self, x: Tensor, *masks: Tensor) -> Tensor:
        self._hooks._masks = list(masks)
        found: Tensor = self.net(x)
        return found


def export(hooks: Hooks, name: str, path: Path) -> None:
    """The network with a mask behind each of its places, as inputs mask0, mask1, ..."""
    from benchmarks.speed.questions import WORKLOADS

    masks = [torch.ones(place.units) for place in hooks.places]
    torch.onnx.export(
        _Exported(hooks),
        (torch.zeros(2, *WORKLOADS[name].shape), *masks),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["x", *(f"mask{index}" for index in range(len(masks)))],
        dynamic_axes={"x": {0: "batch"}},
    )


class Nnsight:
    """nnsight's way: what a trace does to the modules' outputs is run within the forward pass."""

    def __init__(self, name: str, folder: Path) -> None:
        from nnsight import NNsight

        torch.set_num_threads(THREADS)
        net = make.network(name, folder)
        self.places = networks.PLACES[name](net)
        self._model = NNsight(net)

    def ask(self, x: Floats, masks: Masks) -> Floats:
        """Logits."""
        model = self._model
        lost = [
            (place, _envoy(model, place.module), torch.from_numpy(mask.astype(np.float32)))
            for place, mask in zip(self.places, masks, strict=True)
            if not mask.all()
        ]
        with torch.inference_mode(), model.trace(torch.from_numpy(x)):
            for place, envoy, mask in lost:
                if place.way == "heads":
                    envoy.input = masked(place, envoy.input, mask)
                else:
                    envoy.output = masked(place, envoy.output, mask)
            found = model.output.save()
        answer: Floats = found.numpy()
        return answer


def _envoy(model: Any, path: str) -> Any:
    for part in path.split("."):
        model = model[int(part)] if part.isdigit() else getattr(model, part)
    return model


class Captum:
    """Captum's ablation of a layer's features. It asks about one layer, so there is no `network` form of it."""

    def __init__(self, name: str, folder: Path) -> None:
        from captum.attr import LayerFeatureAblation

        torch.set_num_threads(THREADS)
        self.net = make.network(name, folder)
        self.places = networks.PLACES[name](self.net)
        modules = dict(self.net.named_modules())
        self._ablations = [LayerFeatureAblation(self._answers, modules[place.module]) for place in self.places]
        self._asked = 0

    def _answers(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x)
        self._asked += len(found)
        return found.max(1).values

    def features(self, x: Floats, site: int, groups: NDArray[np.int64], at_once: int) -> int:
        """Each group of a site's units ablated alone, on each example; how many passes that took.

        groups: int64[units], from 0. at_once: Captum's `perturbations_per_eval`.
        """
        place, self._asked = self.places[site], 0
        ids = torch.from_numpy(groups)
        with torch.inference_mode():
            shown = self._shape(x[:1], place)
            if place.way == "channels":
                ids = ids.view(1, -1, 1, 1)
            elif place.way == "heads":
                ids = ids.repeat_interleave(shown[-1] // place.units)
            ids = ids.view(*([1] * (len(shown) - ids.dim())), *ids.shape)
            self._ablations[site].attribute(
                torch.from_numpy(x),
                layer_mask=ids,
                perturbations_per_eval=at_once,
                attribute_to_layer_input=place.way == "heads",
            )
        return self._asked

    def _shape(self, x: Floats, place: Place) -> tuple[int, ...]:
        found: list[tuple[int, ...]] = []
        module = dict(self.net.named_modules())[place.module]
        handle = module.register_forward_hook(
            lambda _m, given, out: found.append(tuple((given[0] if place.way == "heads" else out).shape))
        )
        self.net(torch.from_numpy(x))
        handle.remove()
        return found[0]


LOOPS: dict[str, Any] = {"hooks": Hooks, "runtime": Runtime, "nnsight": Nnsight, "unmasked": Unmasked}
