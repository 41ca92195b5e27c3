"""Greedy decoding with transformers' generate. The reference side of `npm run bench:compare` for generation.

usage: generate_hf.py SPEC.json with base, prompt (token ids), new_tokens, repeats, device ("cpu" or "cuda"). The best of the repeats counts, after one that is not
measured. Prints one line of JSON.
"""

import json
import statistics
import sys
import time

import torch
import transformers
from transformers import AutoModelForCausalLM


def main():
    spec = json.load(open(sys.argv[1]))
    model = AutoModelForCausalLM.from_pretrained(spec["base"], dtype=torch.float32)
    device = spec.get("device", "cpu")
    model.to(device).eval()
    ids = torch.tensor([spec["prompt"]], device=device)
    count = spec["new_tokens"]
    options = {"do_sample": False, "use_cache": True, "eos_token_id": None, "pad_token_id": 0}
    options |= {"attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        model.generate(ids, max_new_tokens=min(8, count), **options)
        seconds = []
        for _ in range(spec["repeats"]):
            begun = time.perf_counter()
            tokens = model.generate(ids, max_new_tokens=count, **options)
            seconds.append(time.perf_counter() - begun)
    answer = tokens[0, ids.shape[1] :].tolist()
    assert len(answer) == count, f"{len(answer)} tokens instead of {count}"
    print(
        json.dumps(
            {
                "decode_tokens_per_second": count / statistics.median(seconds),
                "decode_tokens_per_second_max": count / min(seconds),
                "decode_tokens": answer,
                "threads": torch.get_num_threads(),
                "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            }
        )
    )


if __name__ == "__main__":
    main()
