import { describe, expect, it } from 'vitest';
import { makeCheckpoint, makeEvaluation, makeRun, makeWorker } from './support/scenario.js';
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

describe('the playground', () => {
  const tokens = (...pairs: [string, number][]) => ({ tokens: pairs });
  const column = (name: string) => on.page.getByRole('region', { name: `Column ${name}` });
  const ask = async (prompt: string): Promise<void> => {
    await on.page.getByLabel('Prompt').fill(prompt);
    await on.page.getByLabel('Prompt').press('Control+Enter');
  };

  it('asks every column the same at once, shows each token by how likely it was, and how fast it came', async () => {
    on.server.models.set('tiny', tokens(['Gan', -0.1], ['kor', -4], ['.', -0.02]));
    on.server.models.set('ft:tiny:default:a:1', tokens(['Nev', -0.3], ['sa <b>', -0.2]));
    on.server.models.set('mute', tokens());
    await on.open('/playground?m=tiny&m=ft%3Atiny%3Adefault%3Aa%3A1~0.5&m=mute&seed=7&t=0.8');
    await on.page.getByLabel('System message').fill('Be brief.');
    await ask('Who has them?');
    await column('A').getByText('stop').waitFor();
    await column('B').getByText('stop').waitFor();
    const shared = { temperature: 0.8, seed: 7, logprobs: true, stream: true };
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Who has them?' },
    ];
    expect(on.server.models.asked.toSorted((a, b) => b.model.localeCompare(a.model))).toMatchObject([
      { ...shared, messages, model: 'tiny' },
      { ...shared, messages, model: 'mute' },
      { ...shared, messages, model: 'ft:tiny:default:a:1', lambda: 0.5 },
    ]);
    await column('C').getByText('It ended without a word.').waitFor();
    // A value between two steps of its field is asked by the button too.
    await on.page.getByLabel('Temperature').fill('0.75');
    await on.page.getByRole('button', { name: 'Ask all 3' }).click();
    await until(() => on.server.models.asked.at(-1)?.temperature).toBe(0.75);
    await column('A').getByText('stop').waitFor();
    await column('B').getByText('stop').waitFor();
    expect(await column('A').getByRole('region').textContent()).toBe('Gankor.');
    expect(await column('B').getByRole('region').textContent()).toBe('Nevsa <b>');
    const shades = await column('A')
      .locator('.answer span')
      .evaluateAll((spans) =>
        spans.map((span) => [span.textContent, span.getAttribute('title'), (span as HTMLElement).style.background]),
      );
    expect(shades.map(([text]) => text)).toEqual(['Gan', 'kor', '.']);
    expect(shades[1]?.[1]).toMatch(/^probability 1\.83 %, log-probability −4/);
    expect(shades[1]?.[2]).toContain('28%');
    expect(await column('A').locator('dd').allTextContents()).toEqual([
      expect.stringMatching(/^\d.* ms$/),
      expect.stringMatching(/^\d.* tokens\/s$/),
      '4',
      '−1.37 nats',
      'stop',
    ]);
    await on.page.getByLabel('Shade what was unlikely').uncheck();
    expect(await column('A').locator('.answer span').count()).toBe(0);
    expect(await column('A').getByRole('region').textContent()).toBe('Gankor.');
  });

  it('a refusal stays in its column, keeps what was typed, and an answer can be stopped', async () => {
    on.server.models.set('slow', { tokens: Array.from({ length: 400 }, () => ['so ', -1]), everyMs: 20 });
    on.server.models.set('away', { status: 503, message: 'No process has it.', retryAfter: 3 });
    on.server.models.set('cut', { ...tokens(['half', -1]), breaksOff: true });
    await on.open('/playground?m=slow&m=away&m=cut&m=none');
    await ask('Hello?');
    await column('B').getByText('No process has it. Ask again in 3 s.').waitFor();
    await column('C').getByText('The answer broke off before its end. Ask again.').waitFor();
    await column('D').getByText('There is no model none.').waitFor();
    expect(await column('C').getByRole('region').textContent()).toMatch(/^half/);
    await column('A').getByText(/so so/).waitFor();
    await on.page.getByRole('button', { name: 'Stop' }).click();
    const said = await column('A').getByRole('region').textContent();
    await on.page.getByRole('button', { name: 'Ask all 4' }).waitFor();
    expect(await on.page.getByLabel('Prompt').inputValue()).toBe('Hello?');
    expect(await column('A').getByRole('region').textContent()).toBe(said);
    expect(await on.page.getByRole('button', { name: 'Add a column' }).count()).toBe(0);
    await on.page.getByRole('button', { name: 'Remove column A' }).click();
    expect(new URL(on.page.url()).searchParams.getAll('m')).toEqual(['away', 'cut', 'none']);
    await column('A').getByText('No process has it.').waitFor();
  });

  it('is one click from a run and from its checkpoints, with its base beside it, and says itself as a program', async () => {
    const id = on.trained(20, 20, { status: 'succeeded' });
    const { fine_tuned_model: model, model: base } = on.server.get(id).run;
    on.server.get(id).checkpoints.push(makeCheckpoint(id, 10));
    const step = on.server.get(id).checkpoints[0]?.fine_tuned_model_checkpoint;
    await on.open(`/runs/${id}/checkpoints`);
    const links = on.page.getByRole('link', { name: 'Ask it' });
    await links.nth(1).waitFor();
    expect(
      await links.evaluateAll((all) =>
        all.map((link) => new URL((link as HTMLAnchorElement).href).searchParams.getAll('m')),
      ),
    ).toEqual([
      [base, model],
      [base, step],
    ]);
    await links.first().click();
    await on.page.getByLabel('Prompt').fill('It\'s "so"?');
    await column('B').getByRole('button', { name: 'curl' }).click();
    const said = (await column('B').locator('pre').textContent()) ?? '';
    expect(said).toContain(`${new URL(on.page.url()).origin}/v1/chat/completions`);
    expect(said).toContain(String(model));
    expect(said).toContain(`It'\\''s`);
    await column('B').getByRole('button', { name: 'Python' }).click();
    expect(await column('B').locator('pre').textContent()).toContain('from openai import OpenAI');
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
      '/playground?m=tiny&m=ft%3Atiny',
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
