"""LoRA steps in PyTorch and PEFT, as somebody who knows both would write them. The reference side of `npm run bench:compare`.

usage: train_peft.py SPEC.json. The file holds
  base      Hugging Face folder
  rows      [{"ids": [int], "labels": [int]}], labels -100 where nothing is learned
  steps     [[row number]], the rows of each step; or, with "grouped", {"count", "batch"}: batches of like length from all rows
  rank, learning_rate, max_grad_norm (0: no clipping), warm_up (steps that are not measured), pad_id, started_at (unix seconds)
  method    "lora" (default) or "full"; device "cpu" (default) or "cuda"; autocast: true multiplies in bfloat16
Prints one line of JSON.
"""

import json
import statistics
import sys
import time

import torch
import transformers
from peft import LoraConfig, __version__ as peft_version, get_peft_model
from transformers import AutoModelForCausalLM

LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def peak_rss_mb():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None


def grouped_steps(rows, count, batch):
    """Batches as transformers' Trainer makes them with group_by_length, `count` of them spread over an epoch."""
    from transformers.trainer_pt_utils import get_length_grouped_indices

    lengths = [len(row["ids"]) for row in rows]
    order = get_length_grouped_indices(lengths, batch, generator=torch.Generator().manual_seed(0))
    batches = [order[i : i + batch] for i in range(0, len(order) - batch + 1, batch)]
    return [batches[i * len(batches) // count] for i in range(count)]


def collate(rows, pad_id, device):
    """Right-padded ids, labels and attention mask; no mask where nothing is padded."""
    longest = max(len(row["ids"]) for row in rows)
    pad = lambda values, filler: values + [filler] * (longest - len(values))
    ids = torch.tensor([pad(row["ids"], pad_id) for row in rows], device=device)
    labels = torch.tensor([pad(row["labels"], -100) for row in rows], device=device)
    if all(len(row["ids"]) == longest for row in rows):
        return {"input_ids": ids, "labels": labels}
    mask = torch.tensor([pad([1] * len(row["ids"]), 0) for row in rows], device=device)
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def main():
    spec = json.load(open(sys.argv[1]))
    torch.manual_seed(0)
    device = spec.get("device", "cpu")
    torch.backends.cuda.matmul.allow_tf32 = True
    model = AutoModelForCausalLM.from_pretrained(spec["base"], dtype=torch.float32).to(device)
    rank = spec["rank"]
    if spec.get("method", "lora") == "lora":
        model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=LINEARS))
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=spec["learning_rate"], weight_decay=0.0)

    rows = spec["rows"]
    steps = grouped_steps(rows, **spec["grouped"]) if spec.get("grouped") else spec["steps"]
    seconds, losses, first_step_ms = [], [], None
    for number_of_step, numbers in enumerate(steps):
        picked = [rows[number] for number in numbers]
        if number_of_step == spec["warm_up"]:
            cpu_begun = time.process_time()
        begun = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=spec.get("autocast", False)):
            loss = model(**collate(picked, spec["pad_id"], device)).loss
        loss.backward()
        if spec["max_grad_norm"] > 0:
            torch.nn.utils.clip_grad_norm_(trained, spec["max_grad_norm"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        seconds.append(time.perf_counter() - begun)
        if first_step_ms is None:
            first_step_ms = 1000 * (time.time() - spec["started_at"])

    cpu_seconds = time.process_time() - cpu_begun
    warm_up = spec["warm_up"]
    measured = [rows[number] for numbers in steps[warm_up:] for number in numbers]
    total = sum(seconds[warm_up:])
    print(
        json.dumps(
            {
                "tokens_per_second": sum(len(row["ids"]) for row in measured) / total,
                "supervised_per_second": sum(label >= 0 for row in measured for label in row["labels"][1:]) / total,
                "step_ms_median": 1000 * statistics.median(seconds[warm_up:]),
                "step_ms_min": 1000 * min(seconds[warm_up:]),
                "step_cpu_ms": 1000 * cpu_seconds / len(seconds[warm_up:]),
                "first_step_ms": first_step_ms,
                "peak_rss_mb": peak_rss_mb(),
                "card_peak_mb": torch.cuda.max_memory_reserved() / 2**20 if device == "cuda" else None,
                "loss_first": losses[0],
                "loss_last10": sum(losses[-10:]) / len(losses[-10:]),
                "losses": losses,
                "trainable_parameters": sum(p.numel() for p in trained),
                "threads": torch.get_num_threads(),
                "versions": {
                    "torch": torch.__version__,
                    "transformers": transformers.__version__,
                    "peft": peft_version,
                    "python": sys.version.split()[0],
                },
            }
        )
    )


if __name__ == "__main__":
    main()
