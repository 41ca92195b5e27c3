"""What transformers makes of prompts: their tokens' log-probabilities, and the likeliest answer with the likeliest tokens beside it.

    reference.py CASES.json OUT.json ROOT

CASES.json: {"tokens": N, "listed": K, "bases": {NAME: {"dir", "adapter"?, "cases": [{"prompt": text} or {"messages": [...]}]}}}, folders below ROOT.
OUT.json: for each base a list of {"ids", "logprobs", "top", "answer", "answer_logprobs", "answer_top", "ended"}; the first token of a prompt
has no log-probability, `answer` ends before the end token, and a `top` is [[id, logprob], ...], likeliest first.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

cases_file, out, root = sys.argv[1:4]
torch.set_num_threads(1)
asked = json.load(open(cases_file))
listed = asked["listed"]


def load(folder):
    """The model of a folder in float32; a tied embedding may be stored under the head's name."""
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float32)
    tensors = load_file(os.path.join(folder, "model.safetensors"))
    if "model.embed_tokens.weight" not in tensors:
        tensors["model.embed_tokens.weight"] = tensors["lm_head.weight"]
    left = model.load_state_dict(tensors, strict=False)
    assert not left.unexpected_keys and left.missing_keys in ([], ["lm_head.weight"]), left
    model.tie_weights()
    return model.eval()


def scores(model, ids, begin):
    """Log-probabilities of ids[begin:], each given those before it, and the likeliest tokens there."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    places = logits[begin - 1 : len(ids) - 1]
    chosen = places.gather(1, torch.tensor(ids[begin:]).unsqueeze(1)).squeeze(1)
    top = places.topk(listed)
    return (
        [round(value, 6) for value in chosen.tolist()],
        [[[i, round(v, 6)] for i, v in zip(row, values)] for row, values in zip(top.indices.tolist(), top.values.tolist())],
    )


def answer(model, ids, ends):
    said = list(ids)
    with torch.no_grad():
        for _ in range(asked["tokens"]):
            best = int(model(torch.tensor([said])).logits[0, -1].argmax())
            if best in ends:
                return said[len(ids) :], True
            said.append(best)
    return said[len(ids) :], False


found = {}
for name, base in asked["bases"].items():
    folder = os.path.join(root, base["dir"])
    model = load(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    ends = model.config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    found[name] = []
    for case in base["cases"]:
        if "messages" in case:
            text = tokenizer.apply_chat_template(case["messages"], add_generation_prompt=True, tokenize=False)
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            ids = tokenizer(case["prompt"])["input_ids"]
        logprobs, top = scores(model, ids, 1)
        said, ended = answer(model, ids, ends)
        said_logprobs, said_top = scores(model, ids + said, len(ids)) if said else ([], [])
        found[name].append(
            {
                **{"ids": ids, "logprobs": logprobs, "top": top, "answer": said, "ended": ended},
                **{"answer_logprobs": said_logprobs, "answer_top": said_top},
            }
        )

with open(out, "w") as file:
    lines = [f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]" for name, rows in found.items()]
    file.write("{\n" + ",\n".join(lines) + "\n}\n")
