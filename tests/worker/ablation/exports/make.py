"""Makes the exports in this folder: small torch networks with heads, gates and recurrent units, by both exporters.

    pip install torch==2.13.0 onnxscript==0.7.2; python -m tests.worker.ablation.exports.make

The answers come from torch itself, one example at a time: the weights that read an ablated unit are set to zero. Each
.npz holds the inputs (`ids`, `mask` or `x`), the masks (`mask_0`, ...: bool[examples, units], True = kept), the sites'
names (`sites`) and what the network then gives (`outputs`).
"""
# mypy: ignore-errors
# torch is not among Lesion's dependencies, so its types are not known here.

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

HERE = Path(__file__).parent
EXAMPLES, WIDTH, HEADS = 5, 8, 2
Cuts = list[tuple[str, int, Callable[[nn.Module, Any], None]]]  # a site's name, its units, and how to cut them out


class Heads(nn.Module):
    """Attention as people write it: `kind` is mha, plain, scaled (by torch), einsum or grouped."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        if kind == "mha":
            self.mha = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
            return
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Any) -> Any:
        if self.kind == "mha":
            return self.mha(x, x, x)[0]
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4).unbind(0)
        if self.kind == "grouped":  # all heads share the first one's keys and values
            k, v = (each[:, :1].expand(-1, HEADS, -1, -1) for each in (k, v))
        return self.proj(self.mixed(q, k, v).reshape(batch, length, WIDTH))

    def mixed(self, q: Any, k: Any, v: Any) -> Any:
        if self.kind == "scaled":
            return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        if self.kind == "einsum":
            scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / q.shape[-1] ** 0.5
            return torch.einsum("bhqk,bhkd->bqhd", scores.softmax(-1), v)
        return ((q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1) @ v).transpose(1, 2)


class Patches(nn.Module):
    """A vision transformer of one block, whose MLP is gated where the attention is grouped."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.patch, self.first = nn.Conv2d(3, WIDTH, 4, 4), nn.Parameter(torch.randn(1, 1, WIDTH))
        self.place = nn.Parameter(torch.randn(1, 5, WIDTH))
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(WIDTH), Heads(kind), nn.LayerNorm(WIDTH)
        self.gated = kind == "grouped"
        self.up, self.down = nn.Linear(WIDTH, 12), nn.Linear(12, WIDTH)
        self.gate = nn.Linear(WIDTH, 12) if self.gated else nn.Identity()
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4)

    def forward(self, x: Any) -> Any:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(x.shape[0], -1, -1), x], 1) + self.place
        x = x + self.attn(self.norm1(x))
        y = self.norm2(x)
        hidden = functional.silu(self.gate(y)) * self.up(y) if self.gated else functional.gelu(self.up(y))
        return self.head(self.norm(x + self.down(hidden))[:, 0])


class Tokens(nn.Module):
    """An encoder of token ids with a mask, as BERT, with a pooler."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(20, WIDTH), nn.Embedding(16, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 12, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.pooler, self.out = nn.Linear(WIDTH, 6), nn.Linear(6, 3)

    def forward(self, ids: Any, mask: Any) -> Any:
        x = self.words(ids) + self.places(torch.arange(ids.shape[1]))[None]
        x = self.encoder(x, src_key_padding_mask=mask == 0)
        return self.out(torch.tanh(self.pooler(x[:, 0])))


class Recurrent(nn.Module):
    """Two layers in both directions; answers for each token, or from the last hidden states."""

    def __init__(self, kind: str, tokens: bool) -> None:
        super().__init__()
        self.words, self.tokens = nn.Embedding(20, 4), tokens
        self.rnn = getattr(nn, kind)(4, 3, 2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(6, 3)

    def forward(self, ids: Any) -> Any:
        states, last = self.rnn(self.words(ids))
        last = last[0] if isinstance(last, tuple) else last
        return self.out(states if self.tokens else torch.cat([last[-2], last[-1]], 1))


class Gated(nn.Module):
    """A convolution and a dense layer behind GLUs, a transposed and a 3-D convolution, Mish."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(4, 12, 3, padding=1), nn.ConvTranspose1d(6, 8, 2, 2)
        self.c, self.d, self.e = nn.Conv3d(1, 5, 2), nn.Linear(5, 8), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.b(functional.glu(self.a(x), 1)))[:, None, :, :, None].expand(-1, -1, -1, -1, 3)
        return self.e(functional.glu(self.d(functional.mish(self.c(x)).mean((2, 3, 4)))))


def columns(reader: str, dim: int = 1) -> Callable[[nn.Module, Any], None]:
    """Zero the weights with which a layer reads units; each unit may have several neighbouring ones."""

    def cut(net: nn.Module, kept: Any) -> None:
        weight = net.get_submodule(reader).weight
        wide = torch.repeat_interleave(kept.float(), weight.shape[dim] // len(kept))
        weight.data.mul_(wide.reshape([-1 if place == dim else 1 for place in range(weight.ndim)]))

    return cut


def silenced(net: nn.Module, kept: Any) -> None:
    """What a layer behind which comes a ReLU gives, where nothing else reads it by channels."""
    net.b.weight.data.mul_(kept.float().reshape(1, -1, 1))
    net.b.bias.data.mul_(kept.float())


def between_layers(net: nn.Module, kept: Any) -> None:
    """What the second recurrent layer reads of the first."""
    for name in ("weight_ih_l1", "weight_ih_l1_reverse"):
        getattr(net.rnn, name).data.mul_(kept.float()[None])


def patches(kind: str) -> tuple[nn.Module, Cuts, dict[str, Any]]:
    reader, name = ("attn.mha.out_proj", "attn.mha.heads") if kind == "mha" else ("attn.proj", "attn.heads")
    hidden = "gate" if kind == "grouped" else "up"
    cuts: Cuts = [(name, HEADS, columns(reader)), (hidden, 12, columns("down"))]
    return Patches(kind), cuts, {"x": torch.randn(EXAMPLES, 3, 8, 8)}


def tokens() -> tuple[nn.Module, Cuts, dict[str, Any]]:
    layer = "encoder.layers.0"
    cuts: Cuts = [
        (f"{layer}.self_attn.heads", HEADS, columns(f"{layer}.self_attn.out_proj")),
        (f"{layer}.linear1", 12, columns(f"{layer}.linear2")),
        ("pooler", 6, columns("out")),
    ]
    mask = torch.ones(EXAMPLES, 7, dtype=torch.int64)
    mask[1, 4:], mask[3, 5:] = 0, 0
    return Tokens(), cuts, {"ids": torch.randint(0, 20, (EXAMPLES, 7)), "mask": mask}


def recurrent(kind: str, by_token: bool) -> tuple[nn.Module, Cuts, dict[str, Any]]:
    cuts: Cuts = [("rnn", 6, between_layers), ("rnn#2", 6, columns("out"))]
    return Recurrent(kind, by_token), cuts, {"ids": torch.randint(0, 20, (EXAMPLES, 7))}


def gated() -> tuple[nn.Module, Cuts, dict[str, Any]]:
    cuts: Cuts = [("a", 6, columns("b", 0)), ("b", 8, silenced), ("c", 5, columns("d")), ("d", 4, columns("e"))]
    return Gated(), cuts, {"x": torch.randn(EXAMPLES, 4, 8)}


NETS: dict[str, Callable[[], tuple[nn.Module, Cuts, dict[str, Any]]]] = {
    **{kind: lambda kind=kind: patches(kind) for kind in ("mha", "plain", "scaled", "einsum", "grouped")},
    "tokens": tokens,
    "lstm": lambda: recurrent("LSTM", False),
    "gru": lambda: recurrent("GRU", True),
    "gated": gated,
}


def make(name: str, net: nn.Module, cuts: Cuts, inputs: dict[str, Any]) -> None:
    """Write the exports of one network, and its answers."""
    net.eval()
    with torch.no_grad():
        np.savez_compressed(HERE / f"{name}.npz", **answers(net, cuts, inputs))
    axes = {key: {0: "batch", 1: "length"} if key != "x" else {0: "batch"} for key in inputs}
    path, given = str(HERE / f"{name}-legacy17.onnx"), tuple(inputs.values())
    torch.onnx.export(net, given, path, dynamo=False, opset_version=17, input_names=list(inputs), dynamic_axes=axes)
    for opset in (18, 23) if name == "scaled" else (18,):
        dynamic = tuple({0: torch.export.Dim("batch", min=1, max=512)} for _ in inputs)
        program = torch.onnx.export(
            net, given, dynamo=True, opset_version=opset, input_names=list(inputs), dynamic_shapes=dynamic
        )
        for node in program.model.graph.all_nodes():  # torch notes there where in its own files each node came from
            scopes = {key: each for key, each in node.metadata_props.items() if key == "pkg.torch.onnx.name_scopes"}
            node.metadata_props.clear()
            node.metadata_props.update(scopes)
        program.save(HERE / f"{name}-dynamo{opset}.onnx", external_data=False)


def answers(net: nn.Module, cuts: Cuts, inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs, masks and outputs: the first example keeps every unit, the last loses all of them."""
    masks = [torch.rand(EXAMPLES, units) < 0.6 for _, units, _ in cuts]
    outputs = []
    for mask in masks:
        mask[0], mask[-1] = True, False
    for example in range(EXAMPLES):
        ours = copy.deepcopy(net)
        for (_, _, cut), mask in zip(cuts, masks, strict=True):
            cut(ours, mask[example])
        outputs.append(ours(*(each[example : example + 1] for each in inputs.values()))[0])
    found = {f"mask_{index}": mask.numpy() for index, mask in enumerate(masks)}
    given = {f"input_{key}": each.numpy() for key, each in inputs.items()}
    return found | given | {"sites": np.array([name for name, _, _ in cuts]), "outputs": torch.stack(outputs).numpy()}


def main() -> None:
    torch.backends.mha.set_fastpath_enabled(False)
    for seed, (name, build) in enumerate(NETS.items()):
        torch.manual_seed(seed)
        make(name, *build())


if __name__ == "__main__":
    main()
