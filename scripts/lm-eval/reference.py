"""What lm_eval makes of questions with choices: its Hugging Face back end, or its `local-completions` against an endpoint.

    reference.py BASE TASKS.json OUT.jsonl MAX_LENGTH [ENDPOINT]

TASKS.json: a list of {"name", "file", "doc_to_text", "doc_to_choice", "doc_to_target"}. A line of OUT.jsonl is an item:
{"task", "index", "scores", "acc", "acc_norm", "acc_bytes"}, the log-likelihoods in the order of the choices.
"""

import json
import os
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
from lm_eval.evaluator import simple_evaluate
from safetensors.torch import load_file, save_file

base, tasks_file, out, max_length, *endpoint = sys.argv[1:]
torch.set_num_threads(int(os.environ.get("REFERENCE_THREADS", "1")))


def readable(folder):
    """A copy of the folder that transformers reads as it is written.

    A tied embedding gets the name that transformers looks for; without it, it draws a random one. The tokenizer is tokenizer.json,
    whatever its class is called: `LlamaTokenizer` of transformers 5 builds one anew and leaves out the `<unk>` of unknown letters.
    """
    copy = os.path.join(os.path.dirname(os.path.abspath(out)), "base")
    os.makedirs(copy, exist_ok=True)
    for name in os.listdir(folder):
        shutil.copyfile(os.path.join(folder, name), os.path.join(copy, name))
    stored = os.path.join(copy, "model.safetensors")
    tensors = load_file(stored)
    if "model.embed_tokens.weight" not in tensors:
        tensors["model.embed_tokens.weight"] = tensors.pop("lm_head.weight")
        save_file(tensors, stored, {"format": "pt"})
    named = os.path.join(copy, "tokenizer_config.json")
    settings = json.load(open(named))
    with open(named, "w") as file:
        json.dump({**settings, "tokenizer_class": "PreTrainedTokenizerFast"}, file)
    return copy


named = os.path.join(base, "tokenizer_config.json")
adds_begin = json.load(open(named)).get("add_bos_token", False)

tasks = []
for task in json.load(open(tasks_file)):
    metrics = ["acc"] if task["name"].startswith("winogrande") else ["acc", "acc_norm", "acc_bytes"]
    tasks.append(
        {
            "task": task["name"],
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": task["file"]}},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": task["doc_to_text"],
            "doc_to_choice": task["doc_to_choice"],
            "doc_to_target": task["doc_to_target"],
            "metric_list": [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in metrics],
        }
    )

copy = readable(base)
told = {"max_length": int(max_length), "add_bos_token": adds_begin}
if endpoint:
    model = "local-completions"
    args = {"model": "base", "base_url": endpoint[0], "tokenizer": copy, "tokenizer_backend": "huggingface", **told}
else:
    model = "hf"
    args = {"pretrained": copy, "dtype": "float32", **told}

results = simple_evaluate(
    model=model,
    model_args=args,
    tasks=tasks,
    batch_size=16,
    device="cpu",
    log_samples=True,
    bootstrap_iters=0,
)

with open(out, "w") as file:
    for task, samples in results["samples"].items():
        for sample in sorted(samples, key=lambda sample: sample["doc_id"]):
            scores = [float(response[0][0]) for response in sample["resps"]]
            figures = {name: float(sample[name]) for name in ("acc", "acc_norm", "acc_bytes") if name in sample}
            file.write(json.dumps({"task": task, "index": sample["doc_id"], "scores": scores, **figures}) + "\n")
