"""MoRA written down once more, for comparison only: Jiang et al. 2024, arXiv:2405.12130, with the conventions of the authors' code.

A layer y = W0 x with k inputs and d outputs becomes y = W0 x + decompress(M compress(x)), M [R, R] trainable. Nothing here is fast:
type 1 builds its two fixed maps as dense matrices from their index definitions, type 6 goes block by block. Indices count from 0.
"""

import math

import torch
from torch import nn

ANGLE_BASE = 10_000.0


def side(k: int, d: int, rank: int, mora_type: int) -> int:
    """R: the root of LoRA's budget (d + k) * rank, half rounded up; even for type 6, which pairs coordinates."""
    rounded = math.floor(math.sqrt((d + k) * rank) + 0.5)
    return rounded // 2 * 2 if mora_type == 6 else rounded


def strided_sum(k: int, R: int) -> torch.Tensor:
    """C [R, k] of c_i = sum over b of padded_x[b R + i], where x is continued circularly to a multiple of R."""
    pad = -k % R
    C = torch.zeros(R, k)
    for i in range(R):
        for j in range(k):
            C[i, j] = float(j % R == i) + float(j < pad and (k + j) % R == i)
    return C


def tiling(d: int, R: int) -> torch.Tensor:
    """D [d, R] of y_i = z_(i mod R)."""
    D = torch.zeros(d, R)
    for i in range(d):
        D[i, i % R] = 1.0
    return D


def turned(block: torch.Tensor, index: int) -> torch.Tensor:
    """Block number `index` [..., R] with coordinates (t, t + R/2) turned by index * 10000^(-2t/R); block 0 stays as it is."""
    half = block.shape[-1] // 2
    angle = index * ANGLE_BASE ** (-2 * torch.arange(half, dtype=torch.float32) / (2 * half))
    first, second = block[..., :half], block[..., half:]
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def rotation_update(x: torch.Tensor, M: torch.Tensor, d: int) -> torch.Tensor:
    """Type 6: every block of R inputs is turned and goes through M; the results side by side, cut or repeated to d."""
    k, R = x.shape[-1], M.shape[0]
    blocks = -(-k // R)
    padded = torch.cat([x, x[..., : blocks * R - k]], dim=-1)
    z = torch.cat([turned(padded[..., b * R : (b + 1) * R], b) @ M.T for b in range(blocks)], dim=-1)
    return z[..., torch.arange(d) % (blocks * R)]


class MoraLinear(nn.Module):
    """A frozen linear layer with M beside it."""

    def __init__(self, base: nn.Linear, rank: int, mora_type: int):
        super().__init__()
        k, d = base.in_features, base.out_features
        R = side(k, d, rank, mora_type)
        self.base, self.mora_type, self.d = base, mora_type, d
        self.mora_M = nn.Parameter(torch.zeros(R, R))
        if mora_type == 1:
            self.C, self.D = strided_sum(k, R), tiling(d, R)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.mora_type == 1:
            return self.base(x) + x @ self.C.T @ self.mora_M.T @ self.D.T
        return self.base(x) + rotation_update(x, self.mora_M, self.d)
