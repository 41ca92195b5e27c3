import { describe, expect, it } from 'vitest';
import { makeEvaluation, makeRun, makeWorker } from './support/scenario.js';
import { LONG, StatePages, until } from './support/state-pages.js';

/** The states that a real stack cannot be brought into on demand. Real API, database and worker: e2e.test.ts. */
const on = new StatePages();

describe('the runs', () => {
  it('without any, gives the command that makes some, and shows the first by itself', async () => {
    await on.open('/');
    await on.sees('No runs yet');
    await on.sees('npm run demo');
    expect(new URL(on.page.url()).pathname).toBe('/runs');
    on.server.add(makeRun(1, { suffix: 'the-first', ageS: 1 }));
    await on.sees('the-first');
  });

  it('500 of them come page by page, and only those in sight are in the document', async () => {
    for (let at = 0; at < 500; at++) on.server.add(makeRun(at, { suffix: at === 3 ? LONG : undefined }));
    await on.open('/runs');
    await on.sees(LONG);
    expect(await on.rows().count()).toBeLessThan(80);
    expect(on.server.seen.filter((request) => request.includes('after=')).length).toBeLessThan(3);
    const body = on.page.locator('.table-body');
    await until(
      async () => {
        await body.evaluate((element) => element.scrollTo(0, element.scrollHeight));
        return on.page.locator('.table-foot').textContent();
      },
      { timeout: 30_000 },
    ).toBe('500 runs');
    await body.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await on.sees(/-seed-499/);
    expect(await on.rows().count()).toBeLessThan(80);
    expect(await on.overflow()).toBe(0);
  });

  it('the search lives in the URL, the server does it, and an empty result can be cleared', async () => {
    for (let at = 0; at < 40; at++) on.server.add(makeRun(at, { status: at % 2 ? 'failed' : 'succeeded', step: 9 }));
    await on.open('/runs?status=failed&q=team%3Dblue');
    await on.sees('20 runs match');
    expect(on.server.seen.some((request) => /status=failed&q=team%3Dblue/.test(request))).toBe(true);
    await on.page.keyboard.press('/');
    await on.page.keyboard.type('nothing-has-this');
    await on.sees('No run matches');
    expect(new URL(on.page.url()).searchParams.get('q')).toBe('nothing-has-this');
    await on.page.getByRole('button', { name: 'Clear the search' }).click();
    await on.sees('40 runs');
  });

  it('beyond the first page a run is found by its id, and the list says how many there are', async () => {
    const ids = Array.from({ length: 130 }, (_, at) => on.server.add(makeRun(at)));
    await on.open('/runs');
    await on.sees('130 runs');
    await on.sees('50 of 130 runs');
    await on.page.getByLabel('Search the runs').fill(ids[129] ?? '');
    await on.sees('1 run matches');
    expect(await on.rows().count()).toBe(1);
    expect(await on.rows().first().getByRole('link').getAttribute('href')).toBe(`/runs/${ids[129]}`);
  });

  it('are sorted by the server at a click on a column', async () => {
    for (let at = 0; at < 5; at++) on.server.add(makeRun(at));
    await on.open('/runs');
    await on.page.getByRole('button', { name: 'Loss' }).click();
    await until(() => on.server.seen.some((request) => request.includes('sort=loss'))).toBe(true);
    await on.page.getByRole('button', { name: 'Loss' }).click();
    await until(() => on.server.seen.some((request) => request.includes('sort=-loss'))).toBe(true);
    expect(new URL(on.page.url()).searchParams.get('sort')).toBe('-loss');
  });

  it('rows change in place, and a new run does not move them under the pointer', async () => {
    const id = on.server.add(makeRun(1, { status: 'running', step: 10, steps: 100 }));
    await on.open('/runs');
    await on.sees('10 / 100');
    await on.rows().first().hover();
    on.server.patch(id, { progress: { ...on.server.get(id).run.progress, step: 55 } });
    on.server.add(makeRun(2, { suffix: 'newcomer', ageS: 1 }));
    await on.sees('55 / 100');
    await on.sees('Show 1 new run');
    expect(await on.rows().count()).toBe(1);
    // It comes in by itself once the pointer has left, which is also what a click on the button does first.
    await on.page.mouse.move(2, 2);
    await on.sees('newcomer');
  });

  it('can be walked and opened by keyboard', async () => {
    for (let at = 0; at < 5; at++) on.server.add(makeRun(at));
    await on.open('/runs');
    await on.rows().first().waitFor();
    for (const key of ['j', 'j', 'k', 'j']) await on.page.keyboard.press(key);
    await until(() => on.page.evaluate(() => document.activeElement?.closest('.row')?.getAttribute('data-index'))).toBe(
      '1',
    );
    await on.page.keyboard.press('Enter');
    await until(() => new URL(on.page.url()).pathname).toMatch(/^\/runs\/ftjob-/);
    await on.page.keyboard.press('g');
    await on.page.keyboard.press('w');
    await on.sees('No worker has registered');
    await on.page.keyboard.press('?');
    await on.sees('Search the runs');
  });
});

describe('the workers', () => {
  it('show their heart, device and run, and how to fix the one without a runtime', async () => {
    on.server.workers = [
      makeWorker(1, { status: 'busy', run_id: 'ftjob-abc', attempt: 1 }),
      makeWorker(2, {
        status: 'unhealthy',
        status_reason: 'The TensorFlow runtime is missing. Run npx moraine setup.',
        device: { kind: 'none', name: '', tensorflow: null, bfloat16: null },
      }),
    ];
    await on.open('/workers');
    await on.sees('1 busy · 0 ready · 1 unhealthy');
    await on.sees('no runtime');
    await on.sees(/Run npx moraine setup/);
    await on.sees('ftjob-abc');
  });
});

describe('everywhere', () => {
  it('a browser without a session learns how to get one, and goes on by itself', async () => {
    on.server.isSignedIn = false;
    on.server.add(makeRun(1, { suffix: 'behind-the-door' }));
    await on.open('/runs');
    await on.sees('npx moraine login');
    on.server.isSignedIn = true;
    await on.sees('behind-the-door');
  });

  it('a phone shows every page without scrolling sideways', async () => {
    const id = on.trained(200, 50, { suffix: LONG });
    on.server.get(id).evaluations.push(makeEvaluation(id, 1, 0, 'held-out.jsonl', 3.2, 0.01));
    on.server.workers = [makeWorker(1, { status: 'busy', run_id: id })];
    await on.open('/runs');
    await on.page.setViewportSize({ width: 390, height: 844 });
    for (const path of [
      '/runs',
      '/workers',
      `/runs/${id}`,
      ...['overview', 'evaluations', 'checkpoints', 'events', 'configuration', 'logs'].map(
        (tab) => `/runs/${id}/${tab}`,
      ),
    ]) {
      await on.goTo(path);
      await on.page.locator('.page').waitFor();
      expect([
        path,
        await on.overflow(),
        await on.page.evaluate(
          () => document.querySelector('.page')?.scrollWidth === document.querySelector('.page')?.clientWidth,
        ),
      ]).toEqual([path, 0, true]);
    }
  });

  it('the theme is chosen with a button and stays', async () => {
    await on.open('/runs');
    const background = () => on.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await on.page.getByRole('button', { name: /Theme: system/ }).click();
    await on.page.getByRole('button', { name: /Theme: light/ }).click();
    expect(await background()).not.toBe(light);
    await on.page.reload();
    await on.page.getByRole('button', { name: /Theme: dark/ }).waitFor();
    expect(await background()).not.toBe(light);
    await on.page.getByRole('button', { name: /Theme: dark/ }).click();
  });
});
