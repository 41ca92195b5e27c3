"""The optimiser of each type of matrix.json: the function of that name. A new type is one function."""

import torch


def adamw(groups, settings):
    return torch.optim.AdamW(groups, betas=(settings["beta1"], settings["beta2"]), eps=settings["eps"])


def groups_of(trained, settings):
    """Matrices decay, vectors do not."""
    matrices = [p for p in trained.values() if p.ndim >= 2]
    vectors = [p for p in trained.values() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings["weightDecay"]}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
