import { existsSync, mkdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readEvents } from '@moraine/contract/client';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBrowser, type TestBrowser } from './support/browser.js';
import { Stack, uploadExamples } from './support/stack.js';

/**
 * The whole road in a browser: real API, Postgres, Redis and a worker that really trains the base model of the repo. One story, told in
 * order. With MORAINE_SCREENSHOTS=1 it also writes the pictures of docs/images.
 */
const isPictured = process.env.MORAINE_SCREENSHOTS === '1';
/** Long enough for most steps to fall outside the seconds that the API is away. */
const STEPS = isPictured ? 360 : 200;
/** Training and a crash take their time where cores are shared. */
const TRAINING_MS = isPictured ? 590_000 : 400_000;
const PICTURES = fileURLToPath(new URL('../../../docs/images/', import.meta.url));

let stack: Stack;
let browser: TestBrowser;
let page: Page;
let runId: string;

beforeAll(async () => {
  if (!existsSync(new URL('../dist/index.html', import.meta.url)))
    throw new Error('The dashboard is not built: npm run build -w @moraine/dashboard');
  stack = await Stack.start();
  browser = await startBrowser({ acceptDownloads: true });
});
afterAll(async () => {
  await browser?.close();
  await stack?.close();
});

const sees = (text: string | RegExp, timeout = 20_000): Promise<void> =>
  page.getByText(text).first().waitFor({ timeout });
const badge = (status: string): Promise<void> =>
  page.locator(`[data-connection="${status}"]`).waitFor({ timeout: 30_000 });

async function picture(name: string): Promise<void> {
  if (!isPictured) return;
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: `${PICTURES}${name}.png` });
}

/** Every metric message that the run sent, from the buffer of its stream. */
async function metricMessages(): Promise<{ step: number; at: number }[]> {
  const stop = AbortSignal.timeout(3000);
  const response = await fetch(stack.client.url('streamRun', { params: { id: runId } }), {
    headers: { authorization: `Bearer ${stack.apiKey}`, accept: 'text/event-stream' },
    signal: stop,
  });
  if (!response.body) throw new Error('the stream has no body');
  const metrics: { step: number; at: number }[] = [];
  try {
    for await (const { event, data } of readEvents(response.body))
      if (event === 'metric') metrics.push(JSON.parse(data) as { step: number; at: number });
  } catch (error) {
    if (!stop.aborted) throw error;
  }
  return metrics;
}

/** Company for the picture of the list. */
async function queueOthers(model: string, training_file: string): Promise<void> {
  for (const [suffix, adapter] of [
    ['mora-rotation', { type: 'mora', rank: 8, mora_type: 6 }],
    ['mora-sharing', { type: 'mora', rank: 8, mora_type: 1 }],
    ['full', { type: 'none' }],
  ] as const)
    await stack.client.call('createRun', {
      body: { model, training_file, suffix, adapter, batch_size: 16, max_steps: STEPS },
    });
}

describe('the dashboard on the real stack', () => {
  it('says how to log in, and a one-time link opens it', async () => {
    page = await browser.open(`${stack.origin}/runs`);
    await sees('npx moraine login');
    const { url } = await stack.client.call('createLoginLink');
    await page.goto(url);
    await page.getByRole('button', { name: 'Sign in here' }).click();
    await sees('No runs yet');
    await badge('live');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await sees('This browser is not signed in');
    await page.goto((await stack.client.call('createLoginLink')).url);
    await page.keyboard.press('Enter');
    await sees('No runs yet');
    await badge('live');
  });

  it('shows a queued run at once, and why it waits', async () => {
    const { model, training, validation, heldOut } = await uploadExamples(stack.client);
    const run = await stack.client.call('createRun', {
      body: {
        model,
        training_file: training,
        validation_file: validation,
        suffix: 'lora-in-a-browser',
        seed: 7,
        adapter: { type: 'lora', rank: 8 },
        optimizer: { learning_rate: 2e-3 },
        batch_size: 16,
        max_steps: STEPS,
        evaluation: { every_steps: 20, files: [heldOut], samples: 2 },
        checkpoint: { every_steps: 60 },
      },
    });
    runId = run.id;
    await sees('lora-in-a-browser');
    if (isPictured) await queueOthers(model, training);
    await page.getByRole('link', { name: 'lora-in-a-browser' }).click();
    await sees(/worker/i);
    await sees('Queued');
    await sees('Loss appears when a worker has taken the run.');
  });

  it(
    'draws each step within a second of it, through a crash of the API',
    async () => {
      await page.evaluate(() => {
        const seen: Record<string, number> = {};
        Object.assign(window, { seen });
        const look = (): void => {
          const step = [...document.querySelectorAll('.figures dd')][1]?.firstChild?.textContent?.replace(/\D/g, '');
          if (step) seen[step] ??= Date.now();
          requestAnimationFrame(look);
        };
        look();
      });
      stack.startWorker('worker-1');
      await page
        .waitForFunction(
          () => Number([...document.querySelectorAll('.figures dd')][1]?.firstChild?.textContent) >= 8,
          undefined,
          { timeout: 150_000 },
        )
        .catch(() => {
          throw new Error(`No steps. ${stack.log('worker-1')}`);
        });
      await badge('live');
      await stack.killApi();
      const crashAt = Date.now();
      await badge('offline');
      await stack.startApi();
      await badge('live');
      const backAt = Date.now();
      if (isPictured) {
        await page.waitForFunction(
          () => Number([...document.querySelectorAll('.figures dd')][1]?.firstChild?.textContent) >= 100,
          undefined,
          { timeout: TRAINING_MS },
        );
        await page.getByLabel('Log axis').check();
        await page.mouse.move(360, 330);
        await picture('run');
        await page.getByLabel('Log axis').uncheck();
      }
      await page
        .locator('.run-title')
        .getByText('Succeeded')
        .waitFor({ timeout: TRAINING_MS })
        .catch(() => {
          throw new Error(`Not succeeded. ${stack.log('worker-1')}`);
        });

      const sent = await metricMessages();
      const seen = await page.evaluate(() => (window as unknown as { seen: Record<string, number> }).seen);
      const delays = sent.flatMap(({ step, at }) => {
        const shown = seen[step];
        const wasAway = at * 1000 > crashAt - 1000 && at * 1000 < backAt;
        return shown === undefined || wasAway ? [] : [shown - at * 1000];
      });
      delays.sort((a, b) => a - b);
      const p90 = delays[Math.floor(delays.length * 0.9)] ?? Number.POSITIVE_INFINITY;
      console.log(
        `point to pixel: median ${Math.round(delays[delays.length >> 1] ?? 0)} ms, p90 ${Math.round(p90)} ms of ${delays.length}`,
      );
      expect(delays.length).toBeGreaterThan(STEPS / 5);
      expect(p90).toBeLessThan(1000);
    },
    TRAINING_MS,
  );

  it('has every step once, also those that came while the API was down', async () => {
    const { series } = await stack.client.call('getRunMetrics', { params: { id: runId }, query: { buckets: 1000 } });
    const loss = series.find(({ name }) => name === 'train_loss');
    expect(loss?.points.map(({ step, n }) => [step, n])).toEqual(Array.from({ length: STEPS }, (_, at) => [at + 1, 1]));
    const label = await page.locator('.chart').first().getAttribute('aria-label');
    expect(label).toMatch(/^Loss, nats per token: train \d/);
  });

  it('has the run’s evaluations, checkpoints, events, configuration and logs', async () => {
    await page.getByRole('navigation', { name: 'Run', exact: true }).getByRole('link', { name: 'Evaluations' }).click();
    await sees('record-heldout.jsonl');
    await page.getByRole('link', { name: 'Checkpoints' }).click();
    await sees(new RegExp(`ckpt-step-${STEPS}`));
    await page.getByRole('link', { name: 'Events' }).click();
    await sees(/Created fine-tuning job/);
    await page.getByRole('link', { name: 'Configuration' }).click();
    await sees('optimizer.learning_rate');
    await page.getByRole('link', { name: 'Logs' }).click();
    await expect.poll(() => page.locator('.log-line').count(), { timeout: 20_000 }).toBeGreaterThan(0);
    await page.getByRole('link', { name: 'Overview' }).click();
    await sees('What it learned');
    await picture('overview');
  });

  it('gives the adapter as a file', async () => {
    await page.getByText('Download', { exact: true }).click();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: /^PEFT adapter/ }).click(),
    ]);
    expect(download.suggestedFilename()).toMatch(/\.tar$/);
    expect(statSync(await download.path()).size).toBeGreaterThan(10_000);
    await page.keyboard.press('Escape');
  });

  it('shows the worker, and the run in the list', async () => {
    await page.keyboard.press('g');
    await page.keyboard.press('w');
    await sees('worker-1');
    await sees(isPictured ? '1 busy' : '1 ready');
    await page.keyboard.press('g');
    await page.keyboard.press('r');
    await page.locator('.runs .row').getByText('Succeeded').waitFor();
    expect(browser.complaints).toEqual([]);
  });
});
