"""Greedy answers of transformers, batch by batch, with adapters of PEFT where there are any. The reference side of `npm run bench:serve`.

usage: generate.py ROWS BASE [ADAPTER ...]. Reads lines of {"prompt": ids, "tokens": N, "models": [adapter number or null for the base, an answer each]}, of which at
most ROWS are a batch, answers each with a line of {"firstMs": of every answer, "seconds": of all, "ids": of the first answer}. The first line that it writes says its versions.
"""

import json
import sys
import time

import torch
import transformers
from transformers import AutoModelForCausalLM, StoppingCriteria, StoppingCriteriaList

transformers.logging.set_verbosity_error()
size, base, *adapters = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
versions = {"torch": torch.__version__, "transformers": transformers.__version__}
if adapters:
    import peft

    versions["peft"] = peft.__version__
    for number, folder in enumerate(adapters):
        if number == 0:
            model = peft.PeftModel.from_pretrained(model, folder, adapter_name="0").eval()
        else:
            model.load_adapter(folder, adapter_name=str(number))
print(json.dumps(versions), flush=True)


class Clock(StoppingCriteria):
    """Keeps when the first token was there."""

    first = None

    def __call__(self, input_ids, scores, **_):
        if self.first is None:
            self.first = time.perf_counter()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool)


for line in sys.stdin:
    asked = json.loads(line)
    begun = time.perf_counter()
    first, said = [], None
    for start in range(0, len(asked["models"]), int(size)):
        rows = asked["models"][start : start + int(size)]
        clock = Clock()
        ids = torch.tensor([asked["prompt"]] * len(rows))
        options = {"do_sample": False, "use_cache": True, "eos_token_id": None, "pad_token_id": 0}
        options |= {"attention_mask": torch.ones_like(ids), "stopping_criteria": StoppingCriteriaList([clock])}
        if adapters:
            options["adapter_names"] = ["__base__" if row is None else str(row) for row in rows]
        with torch.no_grad():
            out = model.generate(input_ids=ids, max_new_tokens=asked["tokens"], **options)
        said = said or out[0, ids.shape[1] :].tolist()
        first += [1000 * (clock.first - begun)] * len(rows)
    print(json.dumps({"firstMs": first, "seconds": time.perf_counter() - begun, "ids": said}), flush=True)
