"""The optimiser of each type of matrix.json: the function of that name. A new type is one function."""

import torch


def adamw(groups, settings):
    return torch.optim.AdamW(groups, betas=(settings["beta1"], settings["beta2"]), eps=settings["eps"])


def lion(groups, settings):
    """Algorithm 2 of arXiv:2302.06675; PyTorch has none. With `decayPeak` the decay of Composer's DecoupledLionW: a group's rate over its first."""
    class Lion(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self):
            (b1, b2), mean = (settings["beta1"], settings["beta2"]), lambda m, g, b: b * m + (1 - b) * g
            for group, p in ((group, p) for group in self.param_groups for p in group["params"]):
                m = self.state[p].get("m", torch.zeros_like(p))
                factor = group["lr"] / (settings["decayPeak"] * group["ratio"]) if "decayPeak" in settings else group["lr"]
                p.mul_(1 - factor * group["weight_decay"]).sub_(group["lr"] * mean(m, p.grad, b1).sign())
                self.state[p]["m"] = mean(m, p.grad, b2)
    return Lion(groups, {"lr": 0.0, "weight_decay": 0.0})


def groups_of(trained, settings):
    """Matrices decay, vectors do not; LoRA's B learns at `ratio` times the rate."""
    groups = []
    for decays in (True, False):
        for is_b in (True, False):
            params = [p for name, p in trained.items() if (p.ndim >= 2) == decays and name.endswith("lora_B") == is_b]
            ratio = settings["ratio"] if is_b else 1
            groups.append({"params": params, "weight_decay": settings["weightDecay"] if decays else 0.0, "ratio": ratio})
    return [group for group in groups if group["params"]]
