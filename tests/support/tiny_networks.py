"""Networks small enough for a test, with weights and dropout like the real ones."""

import torch
from torch import nn


class TinyDenoiser(nn.Module):
    """Two convolutions with a timestep embedding and dropout between them; callable like a denoiser."""

    def __init__(self, channels: int = 4, width: int = 8, dropout: float = 0.5) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.embedding = nn.Linear(2, width)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, noisy, timestep, items=None):
        angle = timestep.to(noisy.dtype) / 160
        embedded = self.embedding(torch.stack([angle.sin(), angle.cos()], dim=-1))[:, :, None, None]
        return self.last(self.dropout(torch.tanh(self.first(noisy) + embedded)))
