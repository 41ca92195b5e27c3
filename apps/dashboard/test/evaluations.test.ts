import { setTimeout as sleep } from 'node:timers/promises';
import type { EvaluationTaskObject } from '@moraine/contract';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startBrowser, type TestBrowser } from './support/browser.js';
import { Stack, uploadExamples } from './support/stack.js';

/** A base and what a short run made of it, asked the same rows by a real worker, as their pages show it. */
const LIMIT = 60;
const WAIT_MS = 180_000;

let stack: Stack;
let browser: TestBrowser;
let page: Page;
let tuned: EvaluationTaskObject;

/** Asks until something has ended; a failure is said as it was. */
async function ended<T extends { status: string; error: { message: string } | null }>(
  ask: () => Promise<T>,
): Promise<T> {
  for (const until = performance.now() + WAIT_MS; performance.now() < until; await sleep(300)) {
    const now = await ask();
    if (now.status === 'succeeded') return now;
    if (['failed', 'cancelled'].includes(now.status)) throw new Error(now.error?.message ?? now.status);
  }
  throw new Error(`It did not end within ${WAIT_MS / 1000} s.`);
}

beforeAll(async () => {
  stack = await Stack.start();
  stack.startWorker('evaluator');
  const { client } = stack;
  const [{ model, training }] = await Promise.all([uploadExamples(client), openBrowser()]);
  const evaluate = async (asked: string): Promise<EvaluationTaskObject> => {
    const { id } = await client.call('createEvaluation', {
      body: { model: asked, suite: 'file', file: training, limit: LIMIT },
    });
    return ended(() => client.call('getEvaluation', { params: { id } }));
  };
  const { id } = await client.call('createRun', {
    body: { model, training_file: training, max_steps: 8, batch_size: 8, optimizer: { learning_rate: 2e-3 } },
  });
  const run = await ended(() => client.call('getRun', { params: { id } }));
  await evaluate(model);
  tuned = await evaluate(run.fine_tuned_model ?? '');
}, 2 * WAIT_MS);
afterAll(async () => {
  await browser?.close();
  await stack?.close();
});

async function openBrowser(): Promise<void> {
  browser = await startBrowser();
  const { url } = await stack.client.call('createLoginLink');
  page = await browser.open(url);
  await page.getByRole('button', { name: 'Sign in here' }).click();
}

it('the list names suite, model and the figure with its interval, and leads to the evaluation', async () => {
  await page.getByRole('link', { name: 'Evaluations', exact: true }).click();
  const row = page.getByRole('row').filter({ hasText: tuned.model });
  await row.getByText('bits_per_byte').waitFor();
  await row.getByRole('link', { name: 'file' }).click();
  await page.waitForURL(`**/evaluations/${tuned.id}`);
  await expect.poll(() => page.title()).toBe(`file, ${tuned.model} · Moraine`);
});

it('figures have value, interval and meaning; what they are bound to is said', async () => {
  const figure = tuned.summary?.metrics.bits_per_byte;
  const row = page.getByRole('row').filter({ hasText: 'Loss by bytes of UTF-8' });
  await row.getByText(figure?.value.toPrecision(4) ?? 'none', { exact: true }).waitFor();
  const [low, high] = figure?.interval ?? [0, 0];
  await row.getByText(`${low.toPrecision(4)} – ${high.toPrecision(4)}`).waitFor();
  await page.getByText(`step 8 · sha256 ${tuned.tuned?.sha256.slice(0, 16)}`).waitFor();
});

it('the difference to the base is shown first, paired by items, with its interval', async () => {
  const block = page.locator('section.block').filter({ has: page.getByRole('heading', { name: 'Difference' }) });
  await block.getByText(`paired bootstrap over ${LIMIT} items`).waitFor();
  // Eight steps on the task's own rows lower the loss of each row: the interval is below 0, which for a loss is better.
  await block.getByText(/^−[\d.]+ \(better\)$/).waitFor();
  expect(await block.getByRole('table', { name: 'Items that differ most' }).getByRole('row').count()).toBe(21);
});

it('items are all there a page at a time, with what was expected', async () => {
  const items = page.getByRole('list', { name: 'Items' }).getByRole('listitem');
  await expect.poll(() => items.count()).toBe(50);
  await page.getByRole('button', { name: 'Show more' }).click();
  await expect.poll(() => items.count()).toBe(LIMIT);
  await items.first().getByText('Expected').waitFor();
});

it('an evaluation that is not there is named as such', async () => {
  await page.goto(`${stack.origin}/evaluations/eval-nothing`);
  await page.getByText('There is no such evaluation').waitFor();
});
