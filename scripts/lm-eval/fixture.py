"""Scores that packages/recipes/test/lm-eval.test.ts compares ours with, by lm_eval's own tasks on rows of our own.

    fixture.py BASE ROWS.json OUT.json

ROWS.json holds rows by suite, in the shapes of the published data sets.
"""

import json
import os
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"

import torch
from lm_eval.evaluator import simple_evaluate
from lm_eval.tasks.hellaswag import utils as hellaswag
from lm_eval.tasks.pubmedqa import preprocess_pubmedqa as pubmedqa
from lm_eval.tasks.winogrande import preprocess_winogrande as winogrande

torch.set_num_threads(1)
base, rows_file, out = sys.argv[1:4]
rows = json.load(open(rows_file))
ALL = ["acc", "acc_norm", "acc_bytes"]

# What the YAML files of lm_eval 0.4.13 say for these tasks.
SAID = {
    "hellaswag": {
        "process_docs": hellaswag.process_docs,
        "doc_to_text": "{{query}}",
        "doc_to_target": "{{label}}",
        "doc_to_choice": "choices",
    },
    "arc_easy": {
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_target": "{{choices.label.index(answerKey)}}",
        "doc_to_choice": "{{choices.text}}",
    },
    "winogrande": {
        "doc_to_text": winogrande.doc_to_text,
        "doc_to_target": winogrande.doc_to_target,
        "doc_to_choice": winogrande.doc_to_choice,
    },
    "pubmedqa": {
        "doc_to_text": pubmedqa.doc_to_text,
        "doc_to_target": "final_decision",
        "doc_to_choice": ["yes", "no", "maybe"],
    },
    "mmlu": {
        "doc_to_text": "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:",
        "doc_to_target": "answer",
        "doc_to_choice": ["A", "B", "C", "D"],
    },
}

with tempfile.TemporaryDirectory() as folder:
    tasks = []
    for name, said in SAID.items():
        file = os.path.join(folder, f"{name}.jsonl")
        with open(file, "w") as lines:
            lines.writelines(json.dumps(row) + "\n" for row in rows[name])
        metrics = ["acc"] if name == "winogrande" else ALL
        tasks.append(
            {
                "task": name,
                "dataset_path": "json",
                "dataset_kwargs": {"data_files": {"test": file}},
                "test_split": "test",
                "output_type": "multiple_choice",
                "metric_list": [{"metric": m, "aggregation": "mean", "higher_is_better": True} for m in metrics],
                **said,
            }
        )
    context = json.load(open(os.path.join(base, "config.json")))["max_position_embeddings"]
    arguments = {"pretrained": base, "dtype": "float32", "max_length": context}
    results = simple_evaluate(
        model="hf", model_args=arguments, tasks=tasks, batch_size=8, device="cpu", log_samples=True, bootstrap_iters=0
    )

scores = {}
for task, samples in results["samples"].items():
    scores[task] = [
        {
            "scores": [float(response[0][0]) for response in sample["resps"]],
            **{name: float(sample[name]) for name in ALL if name in sample},
        }
        for sample in sorted(samples, key=lambda sample: sample["doc_id"])
    ]
with open(out, "w") as file:
    json.dump(scores, file, indent=1)
    file.write("\n")
