import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ChaosStack } from './stack.js';

const BASE = fileURLToPath(new URL('../../../../examples/base/', import.meta.url));
const BASE_FILES = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
const TRY_MS = 15_000;
const TRIES_UNTIL_MS = 90_000;

interface Answer {
  status: number;
  body: { id?: string };
}

/** Sends a request as a stock client does: again and again while the answer is worth it, under one idempotency key. */
async function ask(
  { url, key }: ChaosStack,
  path: string,
  body: () => FormData | string,
  once: string,
): Promise<string> {
  const until = performance.now() + TRIES_UNTIL_MS;
  for (let wait = 100; ; wait = Math.min(2 * wait, 2_000)) {
    const answer = await send(url + path, key, body(), once).catch(() => null);
    if (answer?.status === 200 && answer.body.id) return answer.body.id;
    const isWorthIt = answer === null || answer.status >= 500 || answer.status === 429;
    if (!isWorthIt || performance.now() > until)
      throw new Error(`${path} was answered ${answer?.status ?? 'nothing'}: ${JSON.stringify(answer?.body)}`);
    await sleep(wait);
  }
}

async function send(url: string, key: string, body: FormData | string, once: string): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    body,
    signal: AbortSignal.timeout(TRY_MS),
    headers: {
      authorization: `Bearer ${key}`,
      'idempotency-key': once,
      ...(typeof body === 'string' ? { 'content-type': 'application/json' } : {}),
    },
  });
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}

/** What is trained. */
export interface Inputs {
  model: string;
  file: string;
  steps: number;
  /** Of a run that outlasts a fault of a lease. */
  outlastingSteps: number;
  /** Steps from one checkpoint to the next. */
  every: number;
  /** What a run measures at a step where nothing happens to it. */
  lossAt(step: number): number | undefined;
}

/** Registers the base of the examples and uploads a few rows. */
export async function prepare(stack: ChaosStack): Promise<Pick<Inputs, 'model' | 'file'>> {
  const base = (): FormData => {
    const form = new FormData();
    for (const name of BASE_FILES) form.append('files', new Blob([readFileSync(BASE + name)]), name);
    form.append('name', 'chaos');
    return form;
  };
  const rows = (): FormData => {
    const form = new FormData();
    form.append('purpose', 'fine-tune');
    const text = Array.from({ length: 16 }, (_, i) => JSON.stringify({ prompt: `say ${i}`, completion: ` ${i}` }));
    form.append('file', new Blob([text.join('\n')]), 'rows.jsonl');
    return form;
  };
  return {
    model: await ask(stack, '/v1/bases', base, 'chaos-base'),
    file: await ask(stack, '/v1/files', rows, 'chaos-file'),
  };
}

/** Queues a run; its id, once that is acknowledged. All runs of the same inputs compute the same. */
export const submit = (stack: ChaosStack, { model, file, steps, every }: Inputs, once: string): Promise<string> => {
  const checkpoint = { every_steps: every, every_seconds: 0 };
  const body = { model, training_file: file, max_steps: steps, checkpoint, max_attempts: 50, seed: 1 };
  return ask(stack, '/v1/fine_tuning/jobs', () => JSON.stringify(body), once);
};

export const cancel = (stack: ChaosStack, id: string): Promise<string> =>
  ask(stack, `/v1/fine_tuning/jobs/${id}/cancel`, () => '{}', `cancel-${id}`);
