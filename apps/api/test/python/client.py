"""The whole road with the stock Python client. Prints the job's id for whoever trains it, and at the end what it saw, as JSON."""

import json
import os
import pathlib
import sys
import time

import openai

client = openai.OpenAI(max_retries=2)  # OPENAI_BASE_URL and OPENAI_API_KEY

with open(sys.argv[1], "rb") as rows:
    file = client.files.create(file=rows, purpose="fine-tune")
file = client.files.wait_for_processing(file.id)

chunked = client.uploads.upload_file_chunked(
    file=pathlib.Path(sys.argv[1]), mime_type="text/jsonl", purpose="fine-tune", part_size=100
)

job = client.fine_tuning.jobs.create(
    model="tiny",
    training_file=file.id,
    suffix="python",
    metadata={"client": "python"},
    method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 2}}},
    extra_body={"adapter": {"type": "mora", "rank": 2}},
)
print("JOB", job.id, flush=True)
while client.fine_tuning.jobs.retrieve(job.id).status not in ("succeeded", "failed", "cancelled"):
    time.sleep(0.2)
done = client.fine_tuning.jobs.retrieve(job.id)

events = [event.message for event in client.fine_tuning.jobs.list_events(job.id, limit=2)]
checkpoints = [one.step_number for one in client.fine_tuning.jobs.checkpoints.list(job.id, limit=1)]
model = client.models.retrieve(done.fine_tuned_model)
listed = [one.id for one in client.fine_tuning.jobs.list(metadata={"client": "python"})]

without = [one.id for one in client.fine_tuning.jobs.list(limit=100, extra_query={"metadata": "null"})]

# What a webhook posted is handed over by the test, which received it.
hook = json.loads(os.environ["WEBHOOK"])
unwrapped = client.webhooks.unwrap(hook["body"], hook["headers"], secret=hook["secret"])
try:
    client.webhooks.unwrap(hook["body"] + " ", hook["headers"], secret=hook["secret"])
    forged = None
except openai.InvalidWebhookSignatureError:
    forged = "refused"

try:
    client.fine_tuning.jobs.create(model="tiny", training_file=file.id, method={"type": "dpo"})
    dpo = None
except openai.BadRequestError as error:
    dpo = error.code
try:
    client.fine_tuning.alpha.graders.validate(
        grader={"type": "string_check", "name": "n", "input": "a", "reference": "a", "operation": "eq"}
    )
    graders = None
except openai.NotFoundError as error:
    graders = error.code

second = client.fine_tuning.jobs.create(model="tiny", training_file=file.id)
paused = client.fine_tuning.jobs.pause(second.id)
resumed = client.fine_tuning.jobs.resume(second.id)
cancelled = client.fine_tuning.jobs.cancel(second.id)
try:
    client.fine_tuning.jobs.cancel(second.id)
    again = None
except openai.ConflictError as error:
    again = error.code
try:
    client.fine_tuning.jobs.create(model="tiny", training_file=file.id, extra_body={"adaptor": {}})
    unknown = None
except openai.BadRequestError as error:
    unknown = [error.code, error.param, bool(error.request_id)]

content = client.files.content(file.id).read().decode()
deleted = client.files.delete(file.id).deleted

print(
    json.dumps(
        {
            "file": file.status,
            "chunked": [chunked.status, chunked.file.status, client.files.content(chunked.file.id).read() == content.encode()],
            "run": done.status,
            "adapter": done.model_extra["config"]["adapter"]["type"],
            "events": [events[0], events[-1], len(events) == len(set(events))],
            "checkpoints": checkpoints,
            "model": model.id == done.fine_tuned_model,
            "listed": listed == [job.id],
            "without": without,
            "webhook": [unwrapped.type, unwrapped.data.id, forged],
            "missing": [dpo, graders],
            "results": client.files.content(done.result_files[0]).read().decode().splitlines()[0],
            "paused": [paused.status, resumed.status],
            "cancelled": cancelled.status,
            "again": again,
            "unknown": unknown,
            "content": content,
            "deleted": deleted,
        }
    )
)
