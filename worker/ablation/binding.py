"""A session whose inputs and outputs lie on its device: buffers are made once and filled again at each run."""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.ablation import devices

Array = NDArray[Any]


class Bound:
    """Runs a session by IO binding, as `InferenceSession.run` would; one run at a time.

    Without it, onnxruntime allocates each input and output on the device anew. All runs have the same sizes but for few
    (`Network.each`), so a mask or an example is copied into the place where the last one was; outputs stay on the
    device until the run has ended, and are fetched in one go.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._held: dict[str, Any] = {}  # inputs on the device
        self._running = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, _outputs: None, feed: Mapping[str, Any]) -> list[Array]:
        """All outputs, in their order."""
        with self._running:
            binding = self._session.io_binding()
            for name, array in feed.items():
                binding.bind_ortvalue_input(name, self._placed(name, np.asarray(array, order="C")))
            for output in self._session.get_outputs():
                binding.bind_output(output.name, devices.MEMORY, devices.NUMBER)
            self._session.run_with_iobinding(binding)
            found: list[Array] = binding.copy_outputs_to_cpu()
            return found

    def _placed(self, name: str, array: Array) -> Any:
        """The array on the device: in the place of the one before it, if that was alike."""
        from onnxruntime import OrtValue

        held = self._held.get(name)
        if held is None or (held[0], held[1]) != (array.shape, array.dtype):
            # Not made of the array: in a CPU's memory it would be the array, and the next one would be written over it.
            made = OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype, devices.MEMORY, devices.NUMBER)
            held = self._held[name] = (array.shape, array.dtype, made)
        held[2].update_inplace(array)
        return held[2]
