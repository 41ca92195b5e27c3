# Upload a file, queue a run, wait for it. Wants OPENAI_BASE_URL and OPENAI_API_KEY: eval "$(npx moraine env)"
import time
from openai import OpenAI

client = OpenAI()
file = client.files.create(file=open("examples/tasks/record-train.jsonl", "rb"), purpose="fine-tune")
run = client.fine_tuning.jobs.create(
    model="moraine-tiny",
    training_file=file.id,
    extra_body={"adapter": {"type": "mora", "rank": 8}, "optimizer": {"learning_rate": 2e-3}, "max_steps": 50},
)
while run.status not in ("succeeded", "failed", "cancelled"):
    time.sleep(1)
    run = client.fine_tuning.jobs.retrieve(run.id)
print(run.status, run.fine_tuned_model)
