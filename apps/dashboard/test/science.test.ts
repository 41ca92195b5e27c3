import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EvaluationTaskObject, ExperimentObject } from '@moraine/contract';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBrowser, type TestBrowser } from './support/browser.js';
import { Stack, uploadExamples, uploadTask } from './support/stack.js';

/**
 * A small experiment that a real worker does, then the base and what a run of it made, asked the same rows, as their pages show it. With MORAINE_LOOK=FOLDER
 * there are pictures of the experiment's pages.
 */
const LOOK = process.env.MORAINE_LOOK;
const LIMIT = 60;
const STEPS = 4;
const WAIT_MS = 180_000;

let stack: Stack;
let browser: TestBrowser;
let page: Page;
let training: string;
let experiment: ExperimentObject;

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

/** As a worker asks it the items of the training rows. */
async function evaluate(asked: string): Promise<EvaluationTaskObject> {
  const body = { model: asked, suite: 'file', file: training, limit: LIMIT } as const;
  const { id } = await stack.client.call('createEvaluation', { body });
  return ended(() => stack.client.call('getEvaluation', { params: { id } }));
}

beforeAll(async () => {
  stack = await Stack.start();
  const { client } = stack;
  const [files] = await Promise.all([uploadExamples(client), openBrowser()]);
  const { model, validation, heldOut } = files;
  training = files.training;
  const source = [await uploadTask(client, 'source.jsonl', 8)];
  experiment = await client.call('createExperiment', {
    body: {
      name: 'small',
      model,
      training_file: training,
      evaluation: { validation, test: heldOut, source, every_steps: 2, samples: 0 },
      fixed: { max_steps: STEPS, batch_size: 8 },
      arms: [
        { name: 'LoRA', adapter: { type: 'lora', rank: 4 }, learning_rates: [1e-4, 4e-3] },
        { name: 'full', adapter: { type: 'none' }, learning_rates: [1e-3] },
      ],
      seeds: { search: 1, final: [2] },
    },
  });
  stack.startWorker('scientist');
}, WAIT_MS);
afterAll(async () => {
  await browser?.close();
  await stack?.close();
});

/** Pictures of the page at two widths and in both themes, for a person to look at. */
async function look(name: string): Promise<void> {
  if (LOOK === undefined) return;
  for (const width of [1280, 390])
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.setViewportSize({ width, height: 2400 });
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: `${LOOK}/${name}-${width}-${colorScheme}.png` });
    }
  await page.setViewportSize({ width: 1440, height: 900 });
}

async function openBrowser(): Promise<void> {
  browser = await startBrowser({ acceptDownloads: true });
  const { url } = await stack.client.call('createLoginLink');
  page = await browser.open(url);
  await page.getByRole('button', { name: 'Sign in here' }).click();
}

describe('an experiment', () => {
  const block = (name: string) => page.getByRole('region', { name, exact: true });

  it(
    'is in the list from its start, and its page is live while its runs go on',
    async () => {
      await page.getByRole('link', { name: 'Experiments', exact: true }).click();
      const row = page.getByRole('row').filter({ hasText: 'LoRA, full' });
      await look('experiments');
      await row.getByRole('link', { name: 'small' }).click();
      await page.waitForURL(`**/experiments/${experiment.id}`);
      await page.getByText('Not comparable because no learning rate of LoRA is chosen yet').waitFor();
      expect(await page.getByRole('progressbar').getAttribute('aria-label')).toMatch(/^\d of 4 runs have ended$/);
      await look('running');
      // Nobody reloads: the verdict comes with the last run.
      await block('Verdict').waitFor({ timeout: WAIT_MS });
      await look('experiment');
    },
    WAIT_MS,
  );

  it('has a row an arm with what it learned and kept, and says why there is no interval and no comparison', async () => {
    const { rows, not_comparable: reasons } = await stack.client.call('getExperimentTable', {
      params: { id: experiment.id },
    });
    for (const { arm, base, learned, kept } of rows) {
      const cells = block('Arms').getByRole('row').filter({ hasText: arm }).getByRole('cell');
      const texts = (await cells.allTextContents()).slice(3, 6);
      const shown = texts.map((text) => Number.parseFloat(text.replace('−', '-').replace('e−', 'e-')));
      expect(shown.map((value) => value.toPrecision(4))).toEqual(
        [base, learned, kept].map((figure) => (figure?.mean ?? Number.NaN).toPrecision(4)),
      );
    }
    await block('Arms').getByText('No interval over seeds: 1 seed: an interval needs three.').waitFor();
    expect(reasons.length).toBeGreaterThan(0);
    for (const { sentence } of reasons) await block('Arms').getByText(`Not comparable because ${sentence}.`).waitFor();
  });

  it('rings the rate that was chosen, and a dot of the plane leads to its run', async () => {
    const rates = block('Learning rates').locator('svg[role=img]');
    const ringed = rates.locator('g:has(> circle[r="7"]) > title');
    await expect.poll(() => ringed.allTextContents()).toEqual([expect.stringMatching(/^LoRA, rate .*, chosen$/)]);
    const { runs } = await stack.client.call('getExperimentFrontier', { params: { id: experiment.id } });
    expect(runs.map(({ arm, points }) => [arm, points.map(({ step }) => step)])).toEqual([
      ['LoRA', [0, 2, STEPS]],
      ['full', [0, 2, STEPS]],
    ]);
    const plane = block('Learned and kept').locator('svg[role=img]').first();
    const full = runs[1]?.run_id ?? '';
    const dots = plane.locator(`a[href="/runs/${full}"]`);
    expect(await dots.count()).toBe(3);
    await dots.last().click();
    await page.waitForURL(`**/runs/${full}`);
    await page.goBack();
  });

  it('gives report, figures and rows as files', async () => {
    const file = async (of: string, format: string): Promise<string> => {
      const item = block('Files').getByRole('listitem').filter({ hasText: of });
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        item.getByRole('link', { name: format, exact: true }).click(),
      ]);
      expect(download.suggestedFilename()).toBe(`small-${of}.${format.toLowerCase()}`);
      return readFileSync(await download.path(), 'utf8');
    };
    expect(await file('report', 'MD')).toMatch(/^# small\n/);
    expect(await file('curves', 'SVG')).toMatch(/^<svg [\s\S]*the rate that was chosen is ringed/);
    expect(await file('plane', 'CSV')).toContain('step');
  });
});

describe('an evaluation', () => {
  const block = (title: string) =>
    page.locator('section.block').filter({ has: page.getByRole('heading', { name: title }) });
  let tuned: EvaluationTaskObject;
  beforeAll(async () => {
    const { client } = stack;
    const { cells } = await client.call('getExperiment', { params: { id: experiment.id } });
    const id = cells.find(({ arm, phase }) => arm === 'LoRA' && phase === 'final')?.run_id ?? '';
    const run = await client.call('getRun', { params: { id } });
    await evaluate(experiment.model);
    tuned = await evaluate(run.fine_tuned_model ?? '');
  }, WAIT_MS);

  it('the list names suite, model and the figure with its interval, and leads to the evaluation', async () => {
    await page.getByRole('link', { name: 'Evaluations', exact: true }).click();
    // The experiment scored its model on other rows too.
    const row = page.getByRole('row').filter({ hasText: tuned.model, has: page.getByTitle(tuned.id) });
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
    await page.getByText(`step ${STEPS} · sha256 ${tuned.tuned?.sha256.slice(0, 16)}`).waitFor();
  });

  it('the difference to the base is shown first, paired by items, with its interval', async () => {
    const block = page.locator('section.block').filter({ has: page.getByRole('heading', { name: 'Difference' }) });
    await block.getByText(`paired bootstrap over ${LIMIT} items`).waitFor();
    // Four steps on the task's own rows lower the loss of each row: the interval is below 0, which for a loss is better.
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

  it(
    'one of several answers fills while it goes on, without being asked for again, and an item has every sample',
    async () => {
      const { client } = stack;
      const rows = [1, 2, 3, 4].map((n) => JSON.stringify({ prompt: `${n}`, expected: 'no such answer' }));
      const form = new FormData();
      form.append('file', new Blob([rows.join('\n')]), 'answers.jsonl');
      form.append('purpose', 'evals');
      const { id: file } = await client.call('createFile', { body: form });
      const sampling = { samples: 5, temperature: 1 };
      const body = { model: experiment.model, suite: 'answers', file, sampling };
      const { id } = await client.call('createEvaluation', { body });
      const asked: string[] = [];
      page.on('request', (request) => void asked.push(new URL(request.url()).pathname));
      await page.goto(`${stack.origin}/evaluations/${id}`);
      await block('Figures').getByText('pass@5').waitFor({ timeout: WAIT_MS });
      await block('Figures').getByText('unique_answers').waitFor();
      await block('What was asked').getByText('5 drawn at temperature 1, top-p 1, seed 0').waitFor();
      const items = page.getByRole('list', { name: 'Items' });
      expect(await items.getByText('Samples, 0 of 5 right').count()).toBe(4);
      await items
        .getByText(/^[1-5] × wrong/)
        .first()
        .waitFor();
      const times = (path: string) => asked.filter((one) => one === `/v1/evaluations/${id}${path}`).length;
      expect([times(''), times('/stream'), times('/items')]).toEqual([1, 1, 1]);
      await look('samples');
    },
    WAIT_MS,
  );

  it('an evaluation that is not there is named as such', async () => {
    await page.goto(`${stack.origin}/evaluations/eval-nothing`);
    await page.getByText('There is no such evaluation').waitFor();
  });
});

describe('the analyses of a run', () => {
  it(
    'are drawn over its checkpoints and over its layers, and are there as files',
    async () => {
      const { client } = stack;
      const { cells } = await client.call('getExperiment', { params: { id: experiment.id } });
      const id = cells.find(({ arm, phase }) => arm === 'LoRA' && phase === 'final')?.run_id ?? '';
      await page.goto(`${stack.origin}/runs/${id}/analyses`);
      await page.getByText('Nothing has been measured').waitFor();
      const model = (await client.call('getRun', { params: { id } })).fine_tuned_model ?? '';
      const body = { kind: 'weights', model, layers: 'q_proj' } as const;
      const made = await client.call('createAnalysis', { body });
      await ended(() => client.call('getAnalysis', { params: { id: made.id } }));
      await page.reload();
      await page.getByText(`Measured at step ${STEPS}, λ 1.`).waitFor();
      const drawn = page
        .getByRole('region', { name: 'How the weights changed: over layers' })
        .locator('figure')
        .first();
      await drawn.getByText(`rank-90 over layers, step ${STEPS}`).waitFor();
      const course = await client.call('getRunAnalyses', { params: { id } });
      if (course.kind !== 'weights') throw new Error(course.kind);
      const ranks = course.layers.map(({ layer, points }) => `q_proj, ${layer}: ${points[0]?.figures.rank_90}`);
      expect(await drawn.locator('title').allTextContents()).toEqual(ranks);
      await look('analyses');
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('link', { name: 'CSV', exact: true }).click(),
      ]);
      expect(download.suggestedFilename()).toBe(`${id}-weights.csv`);
      expect(
        readFileSync(await download.path(), 'utf8')
          .trim()
          .split('\n'),
      ).toHaveLength(1 + ranks.length);
    },
    WAIT_MS,
  );
});
