"""Random bases of every family as transformers writes them, and what transformers and PEFT make of what Moraine trained on them.

usage: families.py make DIR | families.py check CASES.json; see test-families.ts
"""

import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, logging

COMMON = {
    "vocab_size": 1024,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": None,
    "initializer_range": 0.15,
}
LINEAR = {"rope_type": "linear", "factor": 4.0}
LONG = {"rope_type": "longrope", "short_factor": [1.0 + 0.5 * i for i in range(6)], "long_factor": [4.0 + i for i in range(6)]}
FAMILIES = {
    "llama": {"rope_scaling": LINEAR, "attention_bias": True},
    "mistral": {"sliding_window": 6, "head_dim": 24},
    "qwen2": {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 2, "tie_word_embeddings": True},
    "qwen3": {"head_dim": 32, "tie_word_embeddings": False},
    "smollm3": {"tie_word_embeddings": True},
    "olmo2": {"num_key_value_heads": 4},
    "phi3": {"max_position_embeddings": 512, "original_max_position_embeddings": 128, "partial_rotary_factor": 0.75, "rope_scaling": LONG, "sliding_window": 40},
    "gemma3_text": {"head_dim": 20, "sliding_window": 7, "query_pre_attn_scalar": 24, "rope_scaling": LINEAR},
}
TOLERANCE = 2e-4  # of logits whose size is some tens


def make(folder: Path) -> None:
    """One folder a family: float32, float16 and bfloat16 in turn, in shards."""
    for index, (family, settings) in enumerate(FAMILIES.items()):
        torch.manual_seed(index)
        config = AutoConfig.for_model(family, **{**COMMON, **settings})
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        dtype = [torch.float32, torch.float16, torch.bfloat16][index % 3]
        model.to(dtype).save_pretrained(folder / family, max_shard_size="150KB")


def mean_loss(model, rows) -> float:
    """Nats a supervised token over rows of ids and labels."""
    total, count = 0.0, 0
    for row in rows:
        logits = model(input_ids=torch.tensor([row["ids"]])).logits[0, :-1]
        labels = torch.tensor(row["labels"][1:])
        total += torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum").item()
        count += int((labels != -100).sum())
    return total / count


def loaded(folder: str):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def problems(case) -> list[str]:
    base = loaded(case["base"])
    found = []

    def compare(name: str, theirs: float, ours: float) -> None:
        print(f"  {name}: {theirs:.6f} and {ours:.6f}")
        if not abs(theirs - ours) <= 2e-5 * abs(theirs):
            found.append(f"{name}: {theirs} and {ours}")

    compare("loss of the base", mean_loss(base, case["rows"]), case["baseLoss"])
    tokenizer = AutoTokenizer.from_pretrained(case["base"])
    for prompt, text in case["answers"]:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        out = base.generate(ids, max_new_tokens=16, do_sample=False)[0, ids.shape[1] :]
        if tokenizer.decode(out, skip_special_tokens=True) != text:
            found.append(f"greedy text: {tokenizer.decode(out)!r} and {text!r}")
    probe = torch.tensor([case["rows"][0]["ids"]])
    merged = {name: loaded(folder) for name, folder in case["merged"].items()}
    for name, model in merged.items():
        compare(f"loss of {name} merged", mean_loss(model, case["rows"]), case["losses"][name])
    adapted = PeftModel.from_pretrained(base, case["peft"]).eval()
    apart = (adapted(input_ids=probe).logits - merged["lora"](input_ids=probe).logits).abs().max().item()
    print(f"  LoRA through PEFT and merged: max |difference| of logits {apart:.1e}")
    if apart > TOLERANCE and case["dtype"] == "F32":
        found.append(f"PEFT and merged differ by {apart}")
    compare("loss of LoRA through PEFT", mean_loss(adapted, case["rows"]), case["losses"]["adapter"])
    return found


def check(file: Path) -> int:
    torch.set_grad_enabled(False)
    failed = 0
    cases = json.loads(file.read_text())
    for case in cases:
        print(case["name"])
        found = problems(case)
        failed += bool(found)
        for problem in found:
            print(f"  FAILED {problem}")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


def main(arguments) -> int:
    logging.set_verbosity_error()
    match arguments:
        case ["make", folder]:
            make(Path(folder))
            return 0
        case ["check", file]:
            return check(Path(file))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
