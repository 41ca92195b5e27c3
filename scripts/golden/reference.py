"""What PyTorch computes for one row of matrix.json: logits, loss, gradients, ten optimiser steps. float32 on one CPU thread."""

import math
import zlib

import numpy
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import methods
import optimizers

IGNORED = -100


def numbers(key: str) -> numpy.random.Generator:
    """A stream of random numbers of its own for every tensor, whatever the order."""
    return numpy.random.Generator(numpy.random.PCG64(zlib.crc32(key.encode())))


def drawn(key: str, shape, std: float, mean: float = 0.0) -> torch.Tensor:
    return torch.from_numpy((mean + std * numbers(key).standard_normal(tuple(shape))).astype(numpy.float32))


def base_model(family):
    """The family's model, from its config alone, with weights that make every part matter: no norm is 1, no bias 0, no logit is flat."""
    settings = dict(family["config"])
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            key = f"{family['name']}/{name}"
            if parameter.ndim == 1:
                parameter.copy_(drawn(key, parameter.shape, std=0.2, mean=parameter.mean().item()))  # about the class's own start
            else:
                std = 0.5 if "embed" in name else 1.2 / math.sqrt(parameter.shape[1])
                parameter.copy_(drawn(key, parameter.shape, std))
    return model.eval()


def micro_batch(family, rows, time: int, index: int):
    """Rows of unequal length, padded on the right; prompts and padding are not scored."""
    random = numbers(f"{family['name']}/batch/{index}")
    ids = torch.zeros(len(rows), time, dtype=torch.long)
    labels = torch.full_like(ids, IGNORED)
    mask = torch.zeros_like(ids)
    for row, shape in enumerate(rows):
        tokens = shape["tokens"]
        ids[row, :tokens] = torch.from_numpy(random.integers(1, family["config"]["vocab_size"], tokens))
        labels[row, shape["prompt"] : tokens] = ids[row, shape["prompt"] : tokens]
        mask[row, :tokens] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def supervised_tokens(batch) -> int:
    return int((batch["labels"][:, 1:] != IGNORED).sum())


def rate_of(schedule, peak: float, step: int) -> float:
    """Step k of the warm-up (from 1) runs at peak * k / warmup; then half a cosine from the peak down to minRatio of it."""
    warmup, total, floor = (schedule[key] for key in ("warmupSteps", "totalSteps", "minRatio"))
    if step <= warmup:
        return peak * step / warmup
    progress = (step - 1 - warmup) / (total - warmup)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))


def learning_rate(schedule, peak: float, step: int, restart) -> float:
    """After a restart on a line up to the rate that the re-warm-up ends at."""
    since = step if restart is None else (step - 1) % restart["every"] + 1
    if since == step or since > restart["warmup"]:
        return rate_of(schedule, peak, step)
    return since / restart["warmup"] * rate_of(schedule, peak, step - since + restart["warmup"])


def of_rows(batch, rows) -> torch.Tensor:
    """The supervised positions of the rows that are named; None: of all."""
    scored = batch["labels"][:, 1:] != IGNORED
    return scored if rows is None else scored & torch.tensor([[row in rows] for row in range(len(scored))])


def cross_entropy(logits: torch.Tensor, batch, rows) -> torch.Tensor:
    """Summed over the supervised positions of the rows, from the definition."""
    targets = batch["labels"][:, 1:].clamp_min(0)
    return -logits[:, :-1].log_softmax(-1).gather(-1, targets[..., None])[..., 0][of_rows(batch, rows)].sum()


def divergence(model_logits: torch.Tensor, base, batch, rows) -> torch.Tensor:
    """KL(p_base || q) summed over the supervised positions of the rows."""
    scored = of_rows(batch, rows)
    with torch.no_grad():
        base_logits = base(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    p, q = (logits[:, :-1][scored].log_softmax(-1) for logits in (base_logits, model_logits))
    return (p.exp() * (p - q)).sum()


def train(model, trained, kept, batches, schedule, settings, restart, regularizer):
    """`totalSteps` steps, each over all micro-batches, normalised by their supervised tokens together. -> (numbers, what adapters keep)"""
    optimizer = getattr(optimizers, settings["type"])(optimizers.groups_of(trained, settings), settings)
    tokens = sum(supervised_tokens(batch) for batch in batches)
    base, weight, sources = regularizer or (None, 0.0, None)
    pulled = sum(int(of_rows(batch, sources).sum()) for batch in batches)
    losses, grad_norms, rates, divergences, source_losses = [], [], [], [], []
    for step in range(1, schedule["totalSteps"] + 1):
        if restart is not None and step > 1 and (step - 1) % restart["every"] == 0:
            kept = methods.restart(model, trained)
            optimizer.state.clear()
        rates.append(learning_rate(schedule, settings["learningRate"], step, restart))
        for group in optimizer.param_groups:
            group["lr"] = rates[-1] * group["ratio"]
        optimizer.zero_grad()
        parts, apart, of_sources = [], 0.0, 0.0
        for batch in batches:
            output = model(**batch, num_items_in_batch=tokens)
            parts.append(output.loss)
            total = output.loss
            if regularizer is not None:
                kl = divergence(output.logits, base, batch, sources)
                total = total + weight * kl / tokens
                apart += kl.item()
            if sources is not None:
                of_sources += cross_entropy(output.logits.detach(), batch, sources).item()
            total.backward()
        divergences.append(apart / pulled)
        source_losses.append(of_sources / pulled)
        grad_norms.append(torch.nn.utils.clip_grad_norm_(trained.values(), settings["maxGradNorm"]).item())
        optimizer.step()
        losses.append(sum(part.item() for part in parts))
    numbers = {"losses": losses, "gradNorms": grad_norms, "learningRates": rates}
    measured = {} if regularizer is None else {"divergences": divergences}
    return numbers | measured | ({} if sources is None else {"sourceLosses": source_losses}), kept


def row(matrix, family, method, optimizer):
    """-> (tensors, numbers) of one family with one method, trained by one optimiser."""
    model, trained, kept = getattr(methods, method["type"])(base_model(family), method)
    if method["type"] != "none":
        with torch.no_grad():
            for name, parameter in trained.items():
                key = f"{family['name']}/{method['name']}/{name}"
                if parameter.ndim == 1:  # lengths: near those of the base
                    parameter.mul_(drawn(key, parameter.shape, std=0.2, mean=1.0))
                else:
                    parameter.copy_(drawn(key, parameter.shape, std=method.get("std", 0.4) / math.sqrt(parameter.shape[-1])))
    if "modules_to_save" in method:  # these keep the base's values
        trained = methods.whole(model, trained, method)
    has_start = method["type"] != "none" or "modules_to_save" in method
    batches = [micro_batch(family, rows, matrix["time"], index) for index, rows in enumerate(matrix["microBatches"])]

    copies = lambda prefix, tensors: {f"{prefix}.{name}": tensor.detach().clone() for name, tensor in tensors.items()}
    tensors = copies("start", trained | kept) if has_start else {}
    first = batches[0]
    regularizer = (base_model(family), method["kl_to_base"], method.get("sources")) if "kl_to_base" in method else None
    output = model(**first)
    total = output.loss
    if regularizer is not None:
        base, weight, sources = regularizer
        total = total + weight * divergence(output.logits, base, first, sources) / supervised_tokens(first)
    total.backward()
    tensors["logits"] = output.logits.detach()[first["attention_mask"] == 1]
    tensors |= copies("grad", {name: parameter.grad for name, parameter in trained.items()})
    settings = optimizer | {"ratio": method.get("lora_plus_ratio", 1), "eps": method.get("eps", optimizer["eps"])}
    training, kept = train(model, trained, kept, batches, matrix["schedule"], settings, method.get("restart"), regularizer)
    tensors |= copies("after", trained | kept)
    return tensors, {"loss": output.loss.item(), **training}
