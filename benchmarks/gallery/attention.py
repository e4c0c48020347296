"""A transformer's block, as people write it in torch: heads and the MLP's hidden units are what can be ablated."""

from torch import Tensor, nn


class Block(nn.Module):
    """Attention and an MLP, each behind a LayerNorm and beside the residual stream."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.project = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x: [N, T, width]. mask: bool[N, T], True where there is something to attend to."""
        normed = self.norm1(x)
        n, t, width = x.size(0), x.size(1), x.size(2)
        shape = (n, t, self.heads, width // self.heads)
        query, key, value = (layer(normed).view(shape).transpose(1, 2) for layer in (self.query, self.key, self.value))
        seen = None if mask is None else mask[:, None, None, :]
        attended = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        x = x + self.project(attended.transpose(1, 2).reshape(n, t, width))
        added: Tensor = self.down(nn.functional.gelu(self.up(self.norm2(x))))
        return x + added
