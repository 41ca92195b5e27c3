"""MoRA written down once more, for comparison only: Jiang et al. 2024, arXiv:2405.12130, with the conventions of the authors' code.

A layer y = W0 x with k inputs and d outputs becomes y = W0 x + decompress(M compress(x)), M [R, R] trainable. Nothing here is fast:
types 1 to 4 and truncation build their two fixed maps as dense matrices from their index definitions, types 6 and decouple go block by block.
Indices count from 0.
"""

import math

import torch
from torch import nn

ANGLE_BASE = 10_000.0


def side(k: int, d: int, rank: int, mora_type) -> int:
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


def group(j: int, width: int, R: int) -> int:
    """Number of the contiguous group that index j of `width` is in: the first `width` mod R groups have one more."""
    q, m = divmod(width, R)
    return j // (q + 1) if j < m * (q + 1) else m + (j - m * (q + 1)) // q


def contiguous(width: int, R: int) -> torch.Tensor:
    """[R, width] with a one in every column, at its group."""
    C = torch.zeros(R, width)
    for j in range(width):
        C[group(j, width, R), j] = 1.0
    return C


def maps(mora_type, k: int, d: int, R: int):
    """C [R, k] and D [d, R] of the types whose update is D M C."""
    match mora_type:
        case 1:
            return strided_sum(k, R), tiling(d, R)
        case 2:
            return contiguous(k, R), contiguous(d, R).T
        case 3:
            return contiguous(k, R), tiling(d, R)
        case 4:
            return strided_sum(k, R), contiguous(d, R).T
        case "truncation":
            return torch.eye(R, k), torch.eye(d, R)
    return None


def turned(block: torch.Tensor, index: int) -> torch.Tensor:
    """Block number `index` [..., R] with coordinates (t, t + R/2) turned by index * 10000^(-2t/R); block 0 stays as it is."""
    half = block.shape[-1] // 2
    angle = index * ANGLE_BASE ** (-2 * torch.arange(half, dtype=torch.float32) / (2 * half))
    first, second = block[..., :half], block[..., half:]
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def block_update(x: torch.Tensor, M: torch.Tensor, d: int, mora_type, all_inputs: bool) -> torch.Tensor:
    """Types 6 and decouple: every block of R inputs goes through M, turned before it in type 6; the results side by side, cut or repeated to d.
    With all_inputs, which is not in the paper, the blocks that the cut would drop are added to the output block of equal number."""
    k, R = x.shape[-1], M.shape[0]
    blocks, outputs = -(-k // R), -(-d // R)
    padded = torch.cat([x, x[..., : blocks * R - k]], dim=-1)
    parts = [padded[..., b * R : (b + 1) * R] for b in range(blocks)]
    z = [(turned(part, b) if mora_type == 6 else part) @ M.T for b, part in enumerate(parts)]
    if all_inputs and outputs < blocks:
        z = [sum(z[b] for b in range(beta, blocks, outputs)) for beta in range(outputs)]
    return torch.cat(z, dim=-1)[..., torch.arange(d) % (len(z) * R)]


class MoraLinear(nn.Module):
    """A frozen linear layer with M beside it."""

    def __init__(self, base: nn.Linear, rank: int, mora_type, all_inputs: bool):
        super().__init__()
        k, d = base.in_features, base.out_features
        R = side(k, d, rank, mora_type)
        self.base, self.mora_type, self.d, self.all_inputs = base, mora_type, d, all_inputs
        self.mora_M = nn.Parameter(torch.zeros(R, R))
        self.maps = maps(mora_type, k, d, R)
        self.merged = torch.zeros(d, k)

    @torch.no_grad()
    def restart(self):
        """ReMoRA: what M does now is kept, M is zero again, the groups are those of the next type: 1, 2, 3, 4, 1."""
        C, D = self.maps
        self.merged += D @ self.mora_M @ C
        self.mora_M.zero_()
        self.mora_type = self.mora_type % 4 + 1
        self.maps = maps(self.mora_type, self.base.in_features, self.d, self.mora_M.shape[0])

    def groups(self) -> torch.Tensor:
        """One where inputs are strided, one where outputs are tiled."""
        return torch.tensor([float(self.mora_type in (1, 4)), float(self.mora_type in (1, 3))])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.maps is not None:
            C, D = self.maps
            return self.base(x) + x @ self.merged.T + x @ C.T @ self.mora_M.T @ D.T
        return self.base(x) + block_update(x, self.mora_M, self.d, self.mora_type, self.all_inputs)
