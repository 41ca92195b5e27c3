"""Greedy answers of generated bases, and of what was trained on them, as transformers and PEFT compute them: `greedy.py COUNT SEED FILE`.

FILE becomes a list, the families by turns, of {"config", "dtype", "stored", "context", "models": [{"method", "answers": [{"prompt", "ids", "logprobs"}]}]}.
`method` is null for the base, else a method with its options; `none` is a full fine-tuning. Weights and variables follow from their names
(`units` of configs.py), which greedy-set.ts repeats. Every token comes from a whole pass over those before it, without a cache.
"""

import copy
import json
import logging
import random
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent / folder) for folder in ("configs", "golden")]

import configs
import methods
import mora
import torch

CONTEXT = 48
TOKENS = 16
VOCABULARY = 260  # of the tokenizer that the bases are given
ROUNDING = 1e-5  # nats by which float32 may be off float64 in the reference itself; at other prompts it tells nothing to 1e-4
TRIES = 200
GAP = 1e-3  # nats between the two likeliest tokens; prompts at which they are nearer are drawn again
DIFFERENCE = 1e-2  # nats by which models differ that say the same tokens
SIZES = {"lora": 0.5, "mora": 0.4, "dora": 0.5, "hira": 1.0, "oft": 0.3}


def good(rng, family: str) -> dict:
    """A config of a family that is wide enough for every method. A Gemma whose head is its embedding would only repeat its last token, with any adapter."""
    while True:
        config = configs.good(rng)
        repeats = family == "gemma3_text" and config.get("tie_word_embeddings", True) is True
        if config["model_type"] == family and not repeats and min(config["hidden_size"], config["intermediate_size"]) >= 16:
            # Within the original context of LongRoPE, as we are.
            longer = {"original_max_position_embeddings": 64} if "original_max_position_embeddings" in config else {}
            return config | longer | {"vocab_size": VOCABULARY}


def methods_of(rng, layers) -> list:
    """The base, a LoRA, a MoRA, and one that is merged."""
    mora_type = rng.choice([1, 2, 3, 4, 6, 6, "truncation", "decouple"])
    rank = next(r for r in (3, 2, 1) if r == 1 or all(mora.side(k, d, r, mora_type) <= min(k, d) for k, d in layers))
    low_rank = {"rank": rng.choice([2, 4]), "alpha": rng.choice([4, 6]), "use_rslora": rng.random() < 0.3}
    merged = [{"type": "dora", **low_rank}, {"type": "hira", "rank": 2}, {"type": "none"}]
    if all(k % 2 == 0 for k, _ in layers):
        merged.append({"type": "oft", "block_size": 2})
    return [None, {"type": "lora", **low_rank}, {"type": "mora", "rank": rank, "mora_type": mora_type}, rng.choice(merged)]


def trained(config, dtype, stored, method):
    """A base as a method has changed it."""
    if method is None or method["type"] == "none":
        return configs.model_of(config, dtype, stored, "" if method is None else "full:")
    model, variables, _ = getattr(methods, method["type"])(configs.model_of(config, dtype, stored), method)
    with torch.no_grad():
        for name, value in variables.items():
            units = configs.units(f"{method['type']}:{name}", value.numel())
            share = torch.from_numpy(units.astype("float32")).reshape(value.shape)
            # A magnitude belongs to the weight; everything else starts at numbers of its own.
            value.copy_(value * (1 + 0.2 * share) if name.endswith("magnitude_vector") else SIZES[method["type"]] * share)
    return model.eval()


def in_float64(model):
    """A copy that computes in float64, to tell how far float32 strays in a model of these random weights."""
    exact = copy.deepcopy(model).double()
    for module in exact.modules():
        if isinstance(getattr(module, "merged", None), torch.Tensor):
            module.merged = module.merged.double()
            module.maps = module.maps and tuple(each.double() for each in module.maps)
    return exact


def strays(exact, prompt, ids, logprobs) -> bool:
    """Whether float32's log-probabilities of an answer are off float64's."""
    with torch.no_grad():
        scores = exact(input_ids=torch.tensor([[*prompt, *ids]]), use_cache=False).logits[0].log_softmax(-1)
    places = range(len(prompt) - 1, len(prompt) + len(ids) - 1)
    return any(abs(float(scores[at, token]) - said) > ROUNDING for at, token, said in zip(places, ids, logprobs))


def answer(model, exact, prompt):
    """-> the likeliest tokens after a prompt and their log-probabilities; None where another token comes near one, or where float32 strays."""
    said, logprobs = list(prompt), []
    while len(said) < min(len(prompt) + TOKENS, model.config.max_position_embeddings):
        with torch.no_grad():
            scores = model(input_ids=torch.tensor([said]), use_cache=False).logits[0, -1].double().log_softmax(-1)
        best, other = scores.topk(2).values.tolist()
        if best - other < GAP:
            return None
        said.append(int(scores.argmax()))
        logprobs.append(round(best, 6))
    ids = said[len(prompt) :]
    return None if strays(exact, prompt, ids, logprobs) else {"prompt": prompt, "ids": ids, "logprobs": logprobs}


def is_other(one, other) -> bool:
    """Whether two models say other tokens, or the same ones with other probabilities."""
    return one["ids"] != other["ids"] or max(abs(p - q) for p, q in zip(one["logprobs"], other["logprobs"])) > DIFFERENCE


def own_answers(models, prompt):
    """-> the answers of all models to a prompt; None where one comes near another token or is the answer of another model."""
    said = []
    for model, exact in models:
        one = answer(model, exact, prompt)
        if one is None or not all(is_other(one, other) for other in said):
            return None
        said.append(one)
    return said


def asked(rng, models, context):
    """Two prompts, a short one and one that windows do not cover, that every model answers in its own way -> the answers of each model; None where
    there are none, as of weights that drew such large scores that float32 strays everywhere."""
    found = [[] for _ in models]
    for length in (rng.randint(1, 4), min(14, context - 8)):
        for _ in range(TRIES):
            prompt = [rng.randrange(4, VOCABULARY) for _ in range(length)]
            said = own_answers(models, prompt)
            if said is not None:
                break
        else:
            return None
        for answers, one in zip(found, said):
            answers.append(one)
    return found


def entry(rng, family):
    while True:
        drawn = draw(rng, family)
        if drawn is not None:
            return drawn


def draw(rng, family):
    config = good(rng, family)
    dtype = rng.choice(["F32", "F16", "BF16"])
    stored = "embedding" if config.get("tie_word_embeddings", True) is True else "all"
    base = configs.model_of(config, dtype, stored)
    layers = [(m.in_features, m.out_features) for n, m in base.named_modules() if n.rpartition(".")[2] in methods.ALL_LINEAR]
    context = min(CONTEXT, config["max_position_embeddings"])
    named = methods_of(rng, layers)
    made = [trained(config, dtype, stored, method) for method in named]
    answers = asked(rng, [(model, in_float64(model)) for model in made], context)
    if answers is None:
        return None
    models = [{"method": method, "answers": each} for method, each in zip(named, answers)]
    return {"config": config, "dtype": dtype, "stored": stored, "context": context, "models": models}


def main() -> None:
    count, seed, file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    rng = random.Random(seed)
    families = [family.__name__ for family in configs.FAMILIES]
    entries = [entry(rng, families[index % len(families)]) for index in range(count)]
    with open(file, "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(one) for one in entries) + "\n]\n")


if __name__ == "__main__":
    main()
