import { plainCheck } from '@moraine/contract';
import { describe, expect, it } from 'vitest';
import {
  makeAttempt,
  makeCheckpoint,
  makeEvaluation,
  makeEvent,
  makeLog,
  makeRun,
  NOW,
  noise,
  valuesAt,
} from './support/scenario.js';
import { LONG, StatePages, until } from './support/state-pages.js';

/** The states that a real stack cannot be brought into on demand. Real API, database and worker: e2e.test.ts. */
const on = new StatePages();

describe('a run', () => {
  it('shows a point within a second of its step, and takes no step twice', async () => {
    const id = on.trained(200, 50);
    await on.open(`/runs/${id}`);
    await on.badge('live');
    await on.page.locator('canvas').first().waitFor();
    await until(() => on.server.get(id).readers.size).toBe(1);
    const at = Date.now();
    on.server.point(id, {
      step: 51,
      attempt: 1,
      values: { train_loss: 0.7777, trained_tokens: 60_180, tokens_per_second: 2000 },
    });
    await on.page.waitForFunction(
      () => document.querySelector('.figures .headline')?.textContent === '0.7777',
      undefined,
      { polling: 20 },
    );
    expect(Date.now() - at).toBeLessThan(1000);
    await on.sees(/^51/);
  });

  it('a broken stream resumes after its last message; what came meanwhile is there', async () => {
    const id = on.trained(200, 50);
    await on.open(`/runs/${id}`);
    await until(() => on.server.get(id).readers.size).toBe(1);
    on.server.point(id, { step: 51, attempt: 1, values: { train_loss: 0.6 } });
    await on.sees('0.6000');
    on.server.cutStreams();
    on.server.point(id, { step: 52, attempt: 1, values: { train_loss: 0.5252 } });
    await on.sees('0.5252');
    const reads = on.server.seen.filter((request) => request.includes('/metrics')).length;
    expect(reads).toBe(1);
  });

  it('a reset reads the metrics again', async () => {
    const id = on.trained(200, 50);
    await on.open(`/runs/${id}`);
    await until(() => on.server.get(id).readers.size).toBe(1);
    const held = on.server.get(id);
    held.points = held.points.slice(0, 20);
    held.points.push({ step: 21, attempt: 2, values: { train_loss: 0.2121 } });
    on.server.patch(id, { attempts: [makeAttempt({ status: 'lost' }), makeAttempt({ attempt: 2, start_step: 20 })] });
    on.server.send(id, { event: 'reset', data: { step: 20, attempt: 2 } });
    await on.sees('0.2121');
    await on.sees(/attempt 2, from step 20/);
  });

  it('without a server it keeps what it knows, says for how long, and comes back by itself', async () => {
    const id = on.trained(200, 50);
    await on.open(`/runs/${id}`);
    await on.page.locator('canvas').first().waitFor();
    await until(() => on.server.get(id).readers.size).toBe(1);
    await on.badge('live');
    await on.server.close();
    await on.badge('offline');
    await on.sees(/updated \d+ s ago/);
    expect(await on.page.locator('canvas').count()).toBe(4);
    await on.server.listen();
    on.server.point(id, { step: 51, attempt: 1, values: { train_loss: 0.5151 } });
    await on.badge('live');
    await on.sees('0.5151');
  });

  it('20,000 points: the first paint has a bucket a pixel, a brush shows every step, and nothing scrolls sideways', async () => {
    const id = on.trained(20_000, 20_000, { status: 'succeeded', suffix: LONG });
    await on.open(`/runs/${id}`);
    await on.page.locator('canvas').first().waitFor();
    expect(on.server.seen.filter((request) => request.includes('/stream'))).toEqual([]);
    const box = await on.page.locator('.u-over').first().boundingBox();
    if (!box) throw new Error('No plot.');
    await on.page.mouse.move(box.x + box.width * 0.4, box.y + 50);
    await on.page.mouse.down();
    await on.page.mouse.move(box.x + box.width * 0.42, box.y + 60, { steps: 4 });
    await on.page.mouse.up();
    await until(() => new URL(on.page.url()).searchParams.get('steps')).toMatch(/^\d+-\d+$/);
    await until(() => on.server.seen.some((request) => /metrics\?from=\d+&to=\d+/.test(request))).toBe(true);
    expect(await on.overflow()).toBe(0);
    await on.page.locator('.u-over').first().dblclick();
    await until(() => new URL(on.page.url()).searchParams.get('steps')).toBeNull();
  });

  it('20,000 points scroll smoothly while more come in', async () => {
    const id = on.trained(40_000, 20_000);
    await on.open(`/runs/${id}`);
    await on.page.setViewportSize({ width: 1280, height: 600 });
    await until(() => on.server.get(id).readers.size).toBe(1);
    await on.page.locator('canvas').first().waitFor();
    const random = noise(6);
    let step = 20_000;
    const timer = setInterval(() => {
      step += 1;
      on.server.point(id, { step, attempt: 1, values: valuesAt(step, 40_000, random) });
    }, 50);
    const frameMs = await on.page.evaluate(async () => {
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
    await on.sees(`${step.toLocaleString('en-US')}`);
  });

  it('the cursor reads every chart at its step', async () => {
    const id = on.trained(200, 200, { status: 'succeeded' });
    await on.open(`/runs/${id}?smooth=0`);
    await on.page.locator('canvas').first().waitFor();
    const box = await on.page.locator('.u-over').first().boundingBox();
    if (!box) throw new Error('No plot.');
    await on.page.mouse.move(box.x + box.width / 2, box.y + 40);
    await until(() => on.page.locator('.chart .at').allTextContents()).toEqual(
      Array.from({ length: 4 }, () => 'step 100'),
    );
    const shown = await on.page.locator('.legend [data-label="train"] .value').textContent();
    await on.page.mouse.move(box.x + box.width - 2, box.y + 40);
    await until(() => on.page.locator('.chart .at').first().textContent()).toMatch(/step (199|200)/);
    expect(Number(shown)).toBeCloseTo(on.server.get(id).points[99]?.values.train_loss ?? 0, 3);
  });

  it('the legend calls the smoothed value smoothed, and a bucket’s values its mean and its ends', async () => {
    const id = on.trained(20_000, 20_000, { status: 'succeeded' });
    const { points } = on.server.get(id);
    const spike = points[10_005];
    if (spike) spike.values.train_loss = 77;
    await on.open(`/runs/${id}`);
    await on.page.locator('canvas').first().waitFor();
    const legend = on.page.locator('.chart').first();
    expect(await legend.locator('li[data-label]').allInnerTexts()).toEqual([
      expect.stringMatching(/^ *train \d/),
      expect.stringMatching(/^ *smoothed \d/),
      expect.stringMatching(/^ *valid \d/),
    ]);
    const box = await on.page.locator('.u-over').first().boundingBox();
    if (!box) throw new Error('No plot.');
    await on.page.mouse.move(box.x + (box.width * 10_003) / 20_000, box.y + 40);
    await until(() => legend.locator('.at').textContent()).toMatch(/^steps [\d,]+–[\d,]+$/);
    // The bucket with the spike may be beside the pixel; whichever it is, the spike is an end and no value of a step.
    expect(await legend.locator('[data-label="train"] .value').textContent()).toMatch(
      /^mean \d[\d.]*, 0\.\d+–(77\.0|0\.\d+)$/,
    );
  });

  it('a value that is no number is a mark, read as what it is, and not bridged', async () => {
    const id = on.trained(200, 60);
    for (const step of [20, 21, 40]) {
      const point = on.server.get(id).points[step - 1];
      if (point) point.values.grad_norm = step === 40 ? Number.POSITIVE_INFINITY : Number.NaN;
    }
    await on.open(`/runs/${id}?smooth=0`);
    const chart = on.page.locator('.chart').nth(3);
    await chart.locator('canvas').waitFor();
    await until(() => chart.locator('.gaps').textContent()).toBe('× no number at steps 20 to 40');
    await until(() => on.server.readers().size).toBe(1);
    on.server.point(id, { step: 61, attempt: 1, values: { train_loss: 0.5, grad_norm: Number.NaN } });
    await until(() => chart.locator('.gaps').textContent()).toBe('× no number at steps 20 to 61');
    await until(() => chart.locator('[data-label="norm"] .value').textContent()).toBe('NaN');
    const box = await chart.locator('.u-over').boundingBox();
    if (!box) throw new Error('No plot.');
    const end = on.page.url().includes('steps') ? 200 : 100;
    await on.page.mouse.move(box.x + (box.width * 40) / end, box.y + 60);
    await until(() => chart.locator('.at').textContent()).toBe('step 40');
    expect(await chart.locator('[data-label="norm"] .value').textContent()).toBe('Infinity');
    const loss = on.page.locator('.chart').first();
    expect(await loss.locator('[data-label="train"] .value').textContent()).toMatch(/^\d/);
  });

  it('a log axis draws for a range that does not start at a power of ten', async () => {
    const id = on.trained(2000, 2000, { status: 'succeeded' });
    await on.open(`/runs/${id}?log=1&steps=900-940`);
    await on.page.locator('canvas').first().waitFor();
    expect(await on.page.evaluate(() => document.querySelectorAll('canvas').length)).toBe(4);
  });

  it('has the buttons that are legal: cancel while it runs, downloads when it has them', async () => {
    const id = on.trained(200, 50);
    await on.open(`/runs/${id}`);
    expect(await on.page.getByText('Download').count()).toBe(0);
    await on.page.getByRole('button', { name: 'Pause' }).click();
    await on.sees('Pausing');
    await on.page.getByRole('button', { name: 'Resume' }).click();
    await on.page.getByRole('button', { name: 'Pause' }).waitFor();
    await on.page.getByRole('button', { name: 'Cancel run' }).click();
    await on.page.getByRole('button', { name: 'Keep it' }).click();
    await on.page.getByRole('button', { name: 'Cancel run' }).click();
    await on.page.getByRole('button', { name: 'Yes, cancel it' }).click();
    await on.sees('Cancelling');
    expect(on.server.seen.some((request) => request === `POST /v1/fine_tuning/jobs/${id}/cancel`)).toBe(true);
    expect(await on.page.getByRole('button', { name: 'Cancel run' }).count()).toBe(0);
    on.server.patch(id, { status: 'succeeded', state: null, exports: ['adapter', 'merged'] });
    await on.page.getByText('Download').click();
    expect(
      await on.page.locator('.menu a').evaluateAll((links) => links.map((link) => link.getAttribute('href'))),
    ).toEqual([`/v1/runs/${id}/adapter?format=native`, `/v1/runs/${id}/adapter?format=merged`]);
  });

  it('that failed says why, what to do, and at which key', async () => {
    const id = on.server.add(
      makeRun(9, {
        status: 'failed',
        step: 41,
        error: { code: 'nan_loss', message: 'The loss is not a number at step 41.', param: 'optimizer.learning_rate' },
      }),
    );
    await on.open(`/runs/${id}/overview`);
    await on.sees('Why it failed');
    await on.sees(/Lower the learning rate/);
    await on.sees('optimizer.learning_rate');
  });

  it('that diverged is no plain success, on its page and in the list', async () => {
    const verdict = {
      code: 'diverged' as const,
      message:
        'The training loss rose from 3.2 to 16,445 nats per token. Lower the learning rate or lengthen the warm-up.',
    };
    const id = on.server.add(makeRun(9, { status: 'succeeded', verdict }));
    await on.open(`/runs/${id}`);
    await on.sees('Diverged');
    await on.sees(/rose from 3.2 to 16,445 nats/);
    expect(await on.page.locator('.run-title .tone-good').count()).toBe(0);
    await until(() => on.page.title()).toMatch(/Succeeded, diverged/);
    await on.goTo('/runs');
    await on.rows().getByText('Diverged').waitFor();
    expect(await on.rows().locator('.tone-good').count()).toBe(0);
  });

  it('that waits says why, and each chart when it will appear', async () => {
    const id = on.server.add(
      makeRun(9, {
        status: 'queued',
        reason: {
          code: 'no_worker',
          message: 'No worker is alive in pool default. Start one with npm start.',
          since: NOW - 12,
        },
      }),
    );
    await on.open(`/runs/${id}`);
    await on.sees(/No worker is alive in pool default/);
    await on.sees('Loss appears when a worker has taken the run.');
  });

  it('has every tab filled, and a word where there is nothing', async () => {
    const id = on.trained(200, 50);
    const held = on.server.get(id);
    await on.open(`/runs/${id}/checkpoints`);
    await on.sees('No checkpoint yet');
    held.checkpoints.push(makeCheckpoint(id, 40));
    held.evaluations.push(
      makeEvaluation(id, 1, 0, 'held-out.jsonl', 3.2, 0.01),
      makeEvaluation(id, 2, 50, 'held-out.jsonl', 0.1, 0.93),
    );
    held.events.push(makeEvent(1, 'Created fine-tuning job'));
    for (let seq = 1; seq <= 300; seq++) held.logs.push(makeLog(seq));
    on.server.send(id, { event: 'event', data: makeEvent(2, 'Checkpoint saved at step 40') });
    await on.sees(/ckpt-step-40/);
    held.checkpoints.push({ ...makeCheckpoint(id, 30), is_best: true });
    on.server.send(id, { event: 'event', data: makeEvent(3, 'Checkpoint saved at step 30') });
    await on.sees('best 30');
    await on.page
      .getByRole('navigation', { name: 'Run', exact: true })
      .getByRole('link', { name: 'Evaluations' })
      .click();
    await on.sees('93.0 %');
    await on.sees('Generated, different');
    await on.page.getByRole('link', { name: 'Events' }).click();
    await on.sees('Created fine-tuning job');
    await on.page.getByRole('link', { name: 'Configuration' }).click();
    await on.sees('optimizer.learning_rate');
    await on.page.getByRole('link', { name: 'Logs' }).click();
    await on.sees(/^300 lines$/);
    await on.sees(/step 300 loss/);
    on.server.send(id, { event: 'log', data: { ...makeLog(301), message: 'a line that came live' } });
    await on.sees('a line that came live');
    await on.page.getByLabel('Search the logs').fill('ENOSPC');
    await on.sees(/^3 lines$/);
  });

  it('says which step its result is of, and what came of checking its resume', async () => {
    const check = { ...plainCheck('equal', 'Resumed from step 90.'), from_step: 90, to_step: 100 };
    const reason = { code: 'stopped_early', message: 'Stopped early at step 100 of 200.', since: NOW };
    const id = on.trained(200, 100, { status: 'succeeded', reason });
    on.server.patch(id, { result_step: 60, resume_check: check });
    await on.open(`/runs/${id}/overview`);
    await on.sees('Stopped early at step 100 of 200.');
    await on.sees(/of step 60, the best/);
    await on.sees('Resumed from step 90.');
  });

  it('says what it learned and what it forgot in tables of their own, with sign and direction', async () => {
    const id = on.trained(200, 200, { status: 'succeeded' });
    on.server
      .get(id)
      .evaluations.push(
        makeEvaluation(id, 1, 0, 'new-task.jsonl', 3.2, 0.01),
        makeEvaluation(id, 2, 200, 'new-task.jsonl', 0.07, 0.93),
        makeEvaluation(id, 3, 0, 'old-stories.jsonl', 1.5, 0.4, 'source'),
        makeEvaluation(id, 4, 200, 'old-stories.jsonl', 1.92, 0.31, 'source'),
        makeEvaluation(id, 5, 0, 'kept.jsonl', 0.9, 0.71, 'source'),
        makeEvaluation(id, 6, 200, 'kept.jsonl', 0.901, 0.71, 'source'),
      );
    await on.open(`/runs/${id}/overview`);
    const cells = (role: string) => on.page.locator(`[data-role="${role}"] tbody tr`).allInnerTexts();
    await until(async () => (await cells('target')).map((row) => row.split('\t'))).toEqual([
      ['new-task.jsonl', '3.20 → 0.0700', '−3.13', '1 % → 93 %', '+92.0 pt', 'learned'],
    ]);
    expect((await cells('source')).map((row) => row.split('\t'))).toEqual([
      ['old-stories.jsonl', '1.50 → 1.92', '+0.420', '40 % → 31 %', '−9.00 pt', 'forgotten'],
      ['kept.jsonl', '0.900 → 0.901', '+0.00100', '71 % → 71 %', '0 pt', 'kept'],
    ]);
    await on.sees('What was forgotten');
  });

  it('says what was not measured, and that nothing comes any more once it has ended', async () => {
    const words = () => on.page.locator('section.block > p.weak').allInnerTexts();
    const isTarget = { every_steps: 10, files: ['file-a'], samples: 3 };
    const asked = on.trained(200, 10, { status: 'running' });
    on.server.get(asked).run.config.evaluation = isTarget;
    await on.open(`/runs/${asked}/overview`);
    const missing =
      'Not measured: give evaluation.files a file of what should be kept, {"file_id": "file-…", "role": "source"}.';
    await until(words).toEqual([
      'Evaluated before the first step and after the last; nothing has been evaluated yet.',
      missing,
    ]);
    const ended = on.trained(200, 10, { status: 'failed' });
    on.server.get(ended).run.config.evaluation = isTarget;
    await on.open(`/runs/${ended}/overview`);
    await until(words).toEqual(['The run ended before its first evaluation.', missing]);
    const plain = on.trained(200, 200, { status: 'succeeded' });
    on.server.get(plain).run.config.evaluation = { ...isTarget, files: [] };
    await on.open(`/runs/${plain}/overview`);
    await on.sees('a file of what should be learned');
  });

  it('shows each value of its configuration, also those of lists', async () => {
    const id = on.trained(200, 10, { status: 'running' });
    on.server.get(id).run.config.data_mix = [
      { file_id: 'file-a', weight: 1, role: 'target' },
      { file_id: 'file-b', weight: 0.5, role: 'source' },
    ];
    await on.open(`/runs/${id}/configuration`);
    await on.sees('data_mix[1].weight');
    expect(await on.page.locator('dl.configuration').innerText()).not.toContain('[object');
  });

  it('that does not exist says so', async () => {
    await on.open('/runs/ftjob-nothing');
    await on.sees('There is no such run');
  });
});
