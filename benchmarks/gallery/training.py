"""Trains the gallery's own networks: Adam, one cycle of the learning rate, fixed seeds, minutes on two cores."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

BATCH = 128


def train(net: nn.Module, inputs: Sequence[Tensor], labels: Tensor, epochs: int, rate: float = 3e-3) -> nn.Module:
    """Train in place on all examples; returns the network, in evaluation mode."""
    steps = epochs * (len(labels) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    net.train()
    for _ in range(epochs):
        order = torch.randperm(len(labels), generator=generator)
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            loss = nn.functional.cross_entropy(net(*(each[rows] for each in inputs)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()
