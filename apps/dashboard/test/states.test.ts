import { existsSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startBrowser, type TestBrowser } from './support/browser.js';
import { FixtureServer } from './support/fixture-server.js';
import {
  makeAttempt,
  makeCheckpoint,
  makeEvaluation,
  makeEvent,
  makeLog,
  makeRun,
  makeWorker,
  NOW,
  noise,
  valuesAt,
} from './support/scenario.js';

/** The states that a real stack cannot be brought into on demand. Real API, database and worker: e2e.test.ts. */
const LONG = 'a-name-of-sixty-characters-that-somebody-really-chose-for-it';

let server: FixtureServer;
let origin: string;
let browser: TestBrowser;
let page: Page;

beforeAll(async () => {
  if (!existsSync(new URL('../dist/index.html', import.meta.url)))
    throw new Error('The dashboard is not built: npm run build -w @moraine/dashboard');
  browser = await startBrowser();
});
afterAll(() => browser?.close());
beforeEach(async () => {
  server = new FixtureServer();
  origin = await server.listen();
});
afterEach(async () => {
  await page?.close();
  await server.close();
  // Nothing inline was refused by the content security policy, nothing was thrown, no key was missing.
  expect(browser.complaints.splice(0)).toEqual([]);
});

const open = async (path: string): Promise<void> => {
  page = await browser.open(origin + path);
};
const sees = (text: string | RegExp): Promise<void> => page.getByText(text).first().waitFor({ timeout: 15_000 });
/** Waits for a value; longer than expect.poll does by itself, for cores that are shared. */
const until = <T>(read: () => T, options = { timeout: 15_000 }) => expect.poll(read, options);
const rows = () => page.locator('.runs .row');
const badge = (status: string): Promise<void> =>
  page.locator(`[data-connection="${status}"]`).waitFor({ timeout: 15_000 });

/** A run with its points, as the database has it. */
function trained(steps: number, last: number, options: Parameters<typeof makeRun>[1] = {}): string {
  const id = server.add(makeRun(7, { status: 'running', steps, step: last, method: 0, ...options }));
  const random = noise(5);
  for (let step = 1; step <= last; step++)
    server.get(id).points.push({ step, attempt: 1, values: valuesAt(step, steps, random) });
  return id;
}

/** How wide the page is beyond its window; more than 0 means that it scrolls sideways. */
const overflow = (): Promise<number> => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

describe('the runs', () => {
  it('without any, gives the command that makes some, and shows the first by itself', async () => {
    await open('/');
    await sees('No runs yet');
    await sees('npm run demo');
    expect(new URL(page.url()).pathname).toBe('/runs');
    server.add(makeRun(1, { suffix: 'the-first', ageS: 1 }));
    await sees('the-first');
  });

  it('500 of them come page by page, and only those in sight are in the document', async () => {
    for (let at = 0; at < 500; at++) server.add(makeRun(at, { suffix: at === 3 ? LONG : undefined }));
    await open('/runs');
    await sees(LONG);
    expect(await rows().count()).toBeLessThan(80);
    expect(server.seen.filter((request) => request.includes('after=')).length).toBeLessThan(3);
    const body = page.locator('.table-body');
    await until(
      async () => {
        await body.evaluate((element) => element.scrollTo(0, element.scrollHeight));
        return page.locator('.table-foot').textContent();
      },
      { timeout: 30_000 },
    ).toBe('500 runs');
    await sees(/-seed-499/);
    expect(await rows().count()).toBeLessThan(80);
    expect(await overflow()).toBe(0);
  });

  it('the filter lives in the URL, the server filters by status and metadata, and an empty result can be cleared', async () => {
    for (let at = 0; at < 40; at++) server.add(makeRun(at, { status: at % 2 ? 'failed' : 'succeeded', step: 9 }));
    await open('/runs?status=failed&q=team%3Dblue');
    await sees('20 runs');
    expect(
      server.seen.some(
        (request) => request.includes('status=failed') && decodeURIComponent(request).includes('metadata[team]=blue'),
      ),
    ).toBe(true);
    await page.keyboard.press('/');
    await page.keyboard.type('nothing-has-this');
    await sees('No run matches the filter');
    expect(new URL(page.url()).searchParams.get('q')).toBe('nothing-has-this');
    await page.getByRole('button', { name: 'Clear the filter' }).click();
    await sees('40 runs');
  });

  it('rows change in place, and a new run does not move them under the pointer', async () => {
    const id = server.add(makeRun(1, { status: 'running', step: 10, steps: 100 }));
    await open('/runs');
    await sees('10 / 100');
    await rows().first().hover();
    server.patch(id, { progress: { ...server.get(id).run.progress, step: 55 } });
    server.add(makeRun(2, { suffix: 'newcomer', ageS: 1 }));
    await sees('55 / 100');
    await sees('Show 1 new run');
    expect(await rows().count()).toBe(1);
    await page.getByRole('button', { name: 'Show 1 new run' }).click();
    await sees('newcomer');
  });

  it('can be walked and opened by keyboard', async () => {
    for (let at = 0; at < 5; at++) server.add(makeRun(at));
    await open('/runs');
    await rows().first().waitFor();
    for (const key of ['j', 'j', 'k', 'j']) await page.keyboard.press(key);
    await until(() => page.evaluate(() => document.activeElement?.closest('.row')?.getAttribute('data-index'))).toBe(
      '1',
    );
    await page.keyboard.press('Enter');
    await until(() => new URL(page.url()).pathname).toMatch(/^\/runs\/ftjob-/);
    await page.keyboard.press('g');
    await page.keyboard.press('w');
    await sees('No worker has registered');
    await page.keyboard.press('?');
    await sees('Filter the runs');
  });
});

describe('a run', () => {
  it('shows a point within a second of its step, and takes no step twice', async () => {
    const id = trained(200, 50);
    await open(`/runs/${id}`);
    await badge('live');
    await page.locator('canvas').first().waitFor();
    await until(() => server.get(id).readers.size).toBe(1);
    const at = Date.now();
    server.point(id, {
      step: 51,
      attempt: 1,
      values: { train_loss: 0.7777, trained_tokens: 60_180, tokens_per_second: 2000 },
    });
    await page.waitForFunction(
      () => document.querySelector('.figures .headline')?.textContent === '0.7777',
      undefined,
      { polling: 20 },
    );
    expect(Date.now() - at).toBeLessThan(1000);
    await sees(/^51/);
  });

  it('a broken stream resumes after its last message; what came meanwhile is there', async () => {
    const id = trained(200, 50);
    await open(`/runs/${id}`);
    await until(() => server.get(id).readers.size).toBe(1);
    server.point(id, { step: 51, attempt: 1, values: { train_loss: 0.6 } });
    await sees('0.6000');
    server.cutStreams();
    server.point(id, { step: 52, attempt: 1, values: { train_loss: 0.5252 } });
    await sees('0.5252');
    const reads = server.seen.filter((request) => request.includes('/metrics')).length;
    expect(reads).toBe(1);
  });

  it('a reset reads the metrics again', async () => {
    const id = trained(200, 50);
    await open(`/runs/${id}`);
    await until(() => server.get(id).readers.size).toBe(1);
    const held = server.get(id);
    held.points = held.points.slice(0, 20);
    held.points.push({ step: 21, attempt: 2, values: { train_loss: 0.2121 } });
    server.patch(id, { attempts: [makeAttempt({ status: 'lost' }), makeAttempt({ attempt: 2, start_step: 20 })] });
    server.send(id, { event: 'reset', data: { step: 20, attempt: 2 } });
    await sees('0.2121');
    await sees(/attempt 2, from step 20/);
  });

  it('without a server it keeps what it knows, says for how long, and comes back by itself', async () => {
    const id = trained(200, 50);
    await open(`/runs/${id}`);
    await page.locator('canvas').first().waitFor();
    await until(() => server.get(id).readers.size).toBe(1);
    await badge('live');
    await server.close();
    await badge('offline');
    await sees(/Offline \d+ s/);
    expect(await page.locator('canvas').count()).toBe(4);
    await server.listen();
    server.point(id, { step: 51, attempt: 1, values: { train_loss: 0.5151 } });
    await badge('live');
    await sees('0.5151');
  });

  it('20,000 points: the first paint has a bucket a pixel, a brush shows every step, and nothing scrolls sideways', async () => {
    const id = trained(20_000, 20_000, { status: 'succeeded', suffix: LONG });
    await open(`/runs/${id}`);
    await page.locator('canvas').first().waitFor();
    expect(server.seen.filter((request) => request.includes('/stream'))).toEqual([]);
    const box = await page.locator('.u-over').first().boundingBox();
    if (!box) throw new Error('No plot.');
    await page.mouse.move(box.x + box.width * 0.4, box.y + 50);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.42, box.y + 60, { steps: 4 });
    await page.mouse.up();
    await until(() => new URL(page.url()).searchParams.get('steps')).toMatch(/^\d+-\d+$/);
    await until(() => server.seen.some((request) => /metrics\?from=\d+&to=\d+/.test(request))).toBe(true);
    expect(await overflow()).toBe(0);
    await page.locator('.u-over').first().dblclick();
    await until(() => new URL(page.url()).searchParams.get('steps')).toBeNull();
  });

  it('20,000 points scroll smoothly while more come in', async () => {
    const id = trained(40_000, 20_000);
    await open(`/runs/${id}`);
    await page.setViewportSize({ width: 1280, height: 600 });
    await until(() => server.get(id).readers.size).toBe(1);
    await page.locator('canvas').first().waitFor();
    const random = noise(6);
    let step = 20_000;
    const timer = setInterval(() => {
      step += 1;
      server.point(id, { step, attempt: 1, values: valuesAt(step, 40_000, random) });
    }, 50);
    const frameMs = await page.evaluate(async () => {
      const body = document.querySelector('.tab-body');
      const gaps: number[] = [];
      let before = performance.now();
      for (let frame = 0; frame < 60; frame++) {
        body?.scrollTo(0, (frame * 9) % 300);
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        gaps.push(now - before);
        before = now;
      }
      return gaps.sort((a, b) => a - b)[30];
    });
    clearInterval(timer);
    expect(frameMs).toBeLessThan(50);
    await sees(`${step.toLocaleString('en-US')}`);
  });

  it('the cursor reads every chart at its step', async () => {
    const id = trained(200, 200, { status: 'succeeded' });
    await open(`/runs/${id}?smooth=0`);
    await page.locator('canvas').first().waitFor();
    const box = await page.locator('.u-over').first().boundingBox();
    if (!box) throw new Error('No plot.');
    await page.mouse.move(box.x + box.width / 2, box.y + 40);
    await until(() => page.locator('.legend .at').allTextContents()).toEqual(
      Array.from({ length: 4 }, () => 'step 100'),
    );
    const shown = await page.locator('.legend [data-label="train"] .value').textContent();
    await page.mouse.move(box.x + box.width - 2, box.y + 40);
    await until(() => page.locator('.legend .at').first().textContent()).toMatch(/step (199|200)/);
    expect(Number(shown)).toBeCloseTo(server.get(id).points[99]?.values.train_loss ?? 0, 3);
  });

  it('a log axis draws for a range that does not start at a power of ten', async () => {
    const id = trained(2000, 2000, { status: 'succeeded' });
    await open(`/runs/${id}?log=1&steps=900-940`);
    await page.locator('canvas').first().waitFor();
    expect(await page.evaluate(() => document.querySelectorAll('canvas').length)).toBe(4);
  });

  it('has the buttons that are legal: cancel while it runs, downloads when it has them', async () => {
    const id = trained(200, 50);
    await open(`/runs/${id}`);
    expect(await page.getByText('Download').count()).toBe(0);
    await page.getByRole('button', { name: 'Cancel run' }).click();
    await page.getByRole('button', { name: 'Keep it' }).click();
    await page.getByRole('button', { name: 'Cancel run' }).click();
    await page.getByRole('button', { name: 'Yes, cancel it' }).click();
    await sees('Cancelling');
    expect(server.seen.some((request) => request === `POST /v1/fine_tuning/jobs/${id}/cancel`)).toBe(true);
    expect(await page.getByRole('button', { name: 'Cancel run' }).count()).toBe(0);
    server.patch(id, { status: 'succeeded', state: null, exports: ['adapter', 'merged'] });
    await page.getByText('Download').click();
    expect(
      await page.locator('.menu a').evaluateAll((links) => links.map((link) => link.getAttribute('href'))),
    ).toEqual([`/v1/runs/${id}/adapter?format=native`, `/v1/runs/${id}/adapter?format=merged`]);
  });

  it('that failed says why, what to do, and at which key', async () => {
    const id = server.add(
      makeRun(9, {
        status: 'failed',
        step: 41,
        error: { code: 'nan_loss', message: 'The loss is not a number at step 41.', param: 'optimizer.learning_rate' },
      }),
    );
    await open(`/runs/${id}/overview`);
    await sees('Why it failed');
    await sees(/Lower the learning rate/);
    await sees('optimizer.learning_rate');
  });

  it('that waits says why, and each chart when it will appear', async () => {
    const id = server.add(
      makeRun(9, {
        status: 'queued',
        reason: {
          code: 'no_worker',
          message: 'No worker is alive in pool default. Start one with npm start.',
          since: NOW - 12,
        },
      }),
    );
    await open(`/runs/${id}`);
    await sees(/No worker is alive in pool default/);
    await sees('Loss appears when a worker has taken the run.');
  });

  it('has every tab filled, and a word where there is nothing', async () => {
    const id = trained(200, 50);
    const held = server.get(id);
    await open(`/runs/${id}/checkpoints`);
    await sees('No checkpoint yet');
    held.checkpoints.push(makeCheckpoint(id, 40));
    held.evaluations.push(
      makeEvaluation(id, 1, 0, 'held-out.jsonl', 3.2, 0.01),
      makeEvaluation(id, 2, 50, 'held-out.jsonl', 0.1, 0.93),
    );
    held.events.push(makeEvent(1, 'Created fine-tuning job'));
    for (let seq = 1; seq <= 300; seq++) held.logs.push(makeLog(seq));
    server.send(id, { event: 'event', data: makeEvent(2, 'Checkpoint saved at step 40') });
    await sees(/ckpt-step-40/);
    await page.getByRole('link', { name: 'Evaluations' }).click();
    await sees('93.0 %');
    await sees('Generated, different');
    await page.getByRole('link', { name: 'Events' }).click();
    await sees('Created fine-tuning job');
    await page.getByRole('link', { name: 'Configuration' }).click();
    await sees('optimizer.learning_rate');
    await page.getByRole('link', { name: 'Logs' }).click();
    await sees(/^300 lines$/);
    await sees(/step 300 loss/);
    server.send(id, { event: 'log', data: { ...makeLog(301), message: 'a line that came live' } });
    await sees('a line that came live');
    await page.getByLabel('Search the logs').fill('ENOSPC');
    await sees(/^3 lines$/);
  });

  it('that does not exist says so', async () => {
    await open('/runs/ftjob-nothing');
    await sees('There is no such run');
  });
});

describe('the workers', () => {
  it('show their heart, device and run, and how to mend the one without a runtime', async () => {
    server.workers = [
      makeWorker(1, { status: 'busy', run_id: 'ftjob-abc', attempt: 1 }),
      makeWorker(2, {
        status: 'unhealthy',
        status_reason: 'The TensorFlow runtime is missing. Run npx moraine setup.',
        device: { kind: 'none', name: '', tensorflow: null },
      }),
    ];
    await open('/workers');
    await sees('1 busy · 0 ready · 1 unhealthy');
    await sees('no runtime');
    await sees(/Run npx moraine setup/);
    await sees('ftjob-abc');
  });
});

describe('everywhere', () => {
  it('a browser without a session learns how to get one, and goes on by itself', async () => {
    server.isSignedIn = false;
    server.add(makeRun(1, { suffix: 'behind-the-door' }));
    await open('/runs');
    await sees('npx moraine login');
    server.isSignedIn = true;
    await sees('behind-the-door');
  });

  it('a phone shows every page without scrolling sideways', async () => {
    const id = trained(200, 50, { suffix: LONG });
    server.get(id).evaluations.push(makeEvaluation(id, 1, 0, 'held-out.jsonl', 3.2, 0.01));
    server.workers = [makeWorker(1, { status: 'busy', run_id: id })];
    await open('/runs');
    await page.setViewportSize({ width: 390, height: 844 });
    for (const path of [
      '/runs',
      '/workers',
      `/runs/${id}`,
      ...['overview', 'evaluations', 'checkpoints', 'events', 'configuration', 'logs'].map(
        (tab) => `/runs/${id}/${tab}`,
      ),
    ]) {
      await page.goto(origin + path);
      await page.locator('.page').waitFor();
      expect([
        path,
        await overflow(),
        await page.evaluate(
          () => document.querySelector('.page')?.scrollWidth === document.querySelector('.page')?.clientWidth,
        ),
      ]).toEqual([path, 0, true]);
    }
  });

  it('the theme is chosen with a button and stays', async () => {
    await open('/runs');
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.getByRole('button', { name: /Theme: system/ }).click();
    await page.getByRole('button', { name: /Theme: light/ }).click();
    expect(await background()).not.toBe(light);
    await page.reload();
    await page.getByRole('button', { name: /Theme: dark/ }).waitFor();
    expect(await background()).not.toBe(light);
    await page.getByRole('button', { name: /Theme: dark/ }).click();
  });
});
