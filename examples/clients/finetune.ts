// Upload a file, queue a run, wait for it. Wants OPENAI_BASE_URL and OPENAI_API_KEY: eval "$(npx moraine env)"
import { createReadStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';

const client = new OpenAI();
const file = await client.files.create({
  file: createReadStream('examples/tasks/record-train.jsonl'),
  purpose: 'fine-tune',
});
const request = {
  model: 'moraine-tiny',
  training_file: file.id,
  adapter: { type: 'mora', rank: 8 },
  optimizer: { learning_rate: 2e-3 },
  max_steps: 50,
};
let run = await client.fineTuning.jobs.create(request);
while (!['succeeded', 'failed', 'cancelled'].includes(run.status)) {
  await sleep(1000);
  run = await client.fineTuning.jobs.retrieve(run.id);
}
console.log(run.status, run.fine_tuned_model);
