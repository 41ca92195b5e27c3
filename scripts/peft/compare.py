"""Loads what Moraine exported with transformers and PEFT and compares logits.

usage: compare.py CASES.json, a list of {name, base, adapter | null, ids [[int]], logits: safetensors file with tensor "logits" [B, T, V]}.
The first case is the base alone. Prints one line a case; exits 1 when any differs by more than 1e-4 or equals the base.
"""

import json
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

TOLERANCE = 1e-4


def logits_of(case):
    model = AutoModelForCausalLM.from_pretrained(case["base"], dtype=torch.float32)
    if case["adapter"] is not None:
        model = PeftModel.from_pretrained(model, case["adapter"])
    model.eval()
    with torch.no_grad():
        return model(input_ids=torch.tensor(case["ids"])).logits


def main():
    cases = json.load(open(sys.argv[1]))
    failed = 0
    base = load_file(cases[0]["logits"])["logits"]
    for index, case in enumerate(cases):
        theirs, ours = logits_of(case), load_file(case["logits"])["logits"]
        difference = (theirs - ours).abs().max().item()
        # An adapter that changes nothing would agree with everything.
        changes = index == 0 or (ours - base).abs().max().item() > 0.01
        ok = difference <= TOLERANCE and changes
        failed += not ok
        print(f"{'ok    ' if ok else 'FAILED'} {case['name']}: max |difference| {difference:.2e}, max |logit| {theirs.abs().max().item():.2f}")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
