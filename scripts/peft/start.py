"""Adapters of PEFT, and ten steps of training that go on from them: start.py make BASE OUT | start.py losses BASE CASES.json.

`make` writes a folder for each method with random weights, none of them zero, as PEFT saves it. CASES.json holds rows {ids, labels} and cases
{name, adapter, learningRate, losses}: each is trained on all rows a step, with AdamW, and its losses compared; exits 1 when one differs by more
than 1e-4 of itself.
"""

import json
import sys
from pathlib import Path

import torch
from peft import HiraConfig, LoraConfig, MissConfig, OFTConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

TOLERANCE = 1e-4
TARGETS = ["q_proj", "v_proj", "down_proj"]
CONFIGS = {
    "lora": lambda: LoraConfig(r=4, lora_alpha=12, target_modules=TARGETS, task_type="CAUSAL_LM"),
    "rslora beside norms": lambda: LoraConfig(
        r=4, lora_alpha=12, use_rslora=True, target_modules=TARGETS, modules_to_save=["norm"], task_type="CAUSAL_LM"
    ),
    "dora": lambda: LoraConfig(r=4, lora_alpha=8, use_dora=True, target_modules=TARGETS, task_type="CAUSAL_LM"),
    "hira": lambda: HiraConfig(r=4, target_modules=TARGETS, task_type="CAUSAL_LM"),
    "miss": lambda: MissConfig(r=4, target_modules=TARGETS, task_type="CAUSAL_LM"),
    "oft": lambda: OFTConfig(r=0, oft_block_size=8, target_modules=TARGETS, task_type="CAUSAL_LM"),
}


def load(base):
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


def make(base, out):
    for index, (name, config) in enumerate(CONFIGS.items()):
        torch.manual_seed(index)
        model = get_peft_model(load(base), config())
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data += 0.02 * torch.randn_like(parameter)
        model.save_pretrained(Path(out) / name)


def losses_of(base, adapter, rows, rate, steps):
    model = PeftModel.from_pretrained(load(base), adapter, is_trainable=True)
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    losses = []
    for _ in range(steps):
        total, count = torch.zeros(()), 0
        for row in rows:
            logits = model(input_ids=torch.tensor([row["ids"]])).logits[0, :-1]
            labels = torch.tensor(row["labels"][1:])
            total = total + torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum")
            count += int((labels != -100).sum())
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
        losses.append((total / count).item())
    return losses


def compare(base, file):
    given, failed = json.load(open(file)), 0
    for case in given["cases"]:
        ours = case["losses"]
        theirs = losses_of(base, case["adapter"], given["rows"], case["learningRate"], len(ours))
        worst = max(abs(a - b) / b for a, b in zip(ours, theirs))
        failed += worst > TOLERANCE
        print(f"{'FAILED' if worst > TOLERANCE else 'ok    '} {case['name']}: {theirs[0]:.4f} -> {theirs[-1]:.4f}, worst difference {worst:.1e}")
    print(f"{len(given['cases']) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    match sys.argv[1:]:
        case ["make", base, out]:
            make(base, out)
        case ["losses", base, file]:
            sys.exit(compare(base, file))
        case _:
            sys.exit(__doc__)
