import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startBrowser } from './browser.js';
import { FixtureServer } from './fixture-server.js';
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
} from './scenario.js';

/**
 * Screenshots of every page in both themes, at 1440 and at 390 px, in the states that matter, for a person to look at:
 * npx tsx apps/dashboard/test/support/look.ts FOLDER [part of a name]
 */
const folder = process.argv[2] ?? 'look';
const only = process.argv[3] ?? '';
mkdirSync(folder, { recursive: true });

const LONG = 'a-name-of-sixty-characters-that-somebody-really-chose-for-it';

function fill(
  server: FixtureServer,
  steps: number,
  last: number,
  method: number,
  more: Parameters<typeof makeRun>[1] = {},
): string {
  const runId = server.add(makeRun(900 + method, { status: 'running', steps, step: last, method, ...more }));
  const held = server.get(runId);
  const random = noise(method + 3);
  for (let step = 1; step <= last; step++)
    held.points.push({ step, attempt: 1, values: valuesAt(step, steps, random) });
  held.checkpoints.push(makeCheckpoint(runId, Math.floor(last / 3)), makeCheckpoint(runId, Math.floor((last * 2) / 3)));
  held.events.push(
    makeEvent(1, 'Created fine-tuning job'),
    makeEvent(2, 'Worker worker-1 took the run on CPU, TensorFlow 2.21.0'),
    makeEvent(3, 'Checkpoint saved at step 50'),
    makeEvent(4, 'Training went on after a lost worker', 'warn'),
  );
  held.evaluations.push(
    makeEvaluation(runId, 1, 0, 'held-out.jsonl', 3.21, 0.02),
    makeEvaluation(runId, 2, last, 'held-out.jsonl', 0.08, 0.97),
    makeEvaluation(runId, 3, 0, 'new-names.jsonl', 3.4, 0),
    makeEvaluation(runId, 4, last, 'new-names.jsonl', 0.21, 0.84),
    makeEvaluation(runId, 5, 0, 'stories.jsonl', 1.62, 0.4, 'source'),
    makeEvaluation(runId, 6, last, 'stories.jsonl', 2.31, 0.31, 'source'),
    makeEvaluation(runId, 7, 0, 'arithmetic-kept.jsonl', 0.903, 0.71, 'source'),
    makeEvaluation(runId, 8, last, 'arithmetic-kept.jsonl', 0.901, 0.71, 'source'),
  );
  for (let seq = 1; seq <= 400; seq++) held.logs.push(makeLog(seq));
  return runId;
}

const server = new FixtureServer();
const origin = await server.listen();

const running = fill(server, 150, 96, 0);
const restarted = fill(server, 20_000, 20_000, 1, {
  status: 'succeeded',
  suffix: LONG,
  attempts: [
    makeAttempt({ status: 'lost', cause: 'lost_worker', message: 'No heartbeat for 20 s.', finished_at: NOW - 60 }),
    makeAttempt({ attempt: 2, start_step: 8000, status: 'finished', finished_at: NOW - 5 }),
  ],
});
const failed = server.add(
  makeRun(950, {
    status: 'failed',
    step: 41,
    method: 2,
    error: {
      code: 'nan_loss',
      message: 'The loss is not a number at step 41 (learning rate 0.01).',
      param: 'optimizer.learning_rate',
    },
  }),
  { events: [makeEvent(1, 'Created fine-tuning job'), makeEvent(2, 'The loss is not a number at step 41', 'error')] },
);
server.add(
  makeRun(960, {
    status: 'succeeded',
    ageS: 30,
    suffix: 'Übung – zu schnell',
    verdict: { code: 'diverged', message: 'The training loss rose from 3.2 to 16,445 nats per token.' },
  }),
);
const queued = server.add(
  makeRun(951, {
    status: 'queued',
    reason: {
      code: 'no_worker',
      message: 'No worker is alive in pool default. Start one with npm start.',
      since: NOW - 12,
    },
  }),
);
const many = (count: number): void => {
  for (let at = 0; at < count; at++)
    server.add(
      makeRun(at, {
        status: at % 11 === 3 ? 'failed' : at % 13 === 5 ? 'cancelled' : 'succeeded',
        ageS: 400 + at * 977,
        suffix: at % 17 === 0 ? LONG : undefined,
      }),
    );
};

const said = 'Nevsa gave three belts to Gankor, who has had them since the market closed for the winter.';

function fillPlayground(): void {
  const random = noise(5);
  const answer = (count: number) => ({
    tokens: said
      .split(/(?= )/)
      .slice(0, count)
      .map((word): [string, number] => [word, -Math.abs(3 * random())]),
  });
  server.models.set('tiny', answer(6));
  server.models.set('ft:tiny:default:records:4f2k9x1c', answer(17));
  server.models.set(`ft:tiny:default:${LONG}:9x1c4f2k:ckpt-step-120`, answer(12));
  server.models.set('away', { status: 503, message: 'No process has the model at the moment.', retryAfter: 5 });
}

const keepOnly = (runId: string): void => {
  for (const key of server.held.keys()) if (key !== runId) server.held.delete(key);
};

const shots: [string, string, () => void][] = [
  ['runs-500', '/runs', () => many(496)],
  ['runs-filter-none', '/runs?q=nothing-like-this', () => {}],
  ['run-charts', `/runs/${running}`, () => {}],
  ['run-charts-20000', `/runs/${restarted}`, () => {}],
  ['run-charts-zoom', `/runs/${restarted}?steps=9000-9400&log=1`, () => {}],
  ['run-charts-empty', `/runs/${queued}`, () => {}],
  ['run-overview', `/runs/${restarted}/overview`, () => {}],
  ['run-failed', `/runs/${failed}/overview`, () => {}],
  ['run-evaluations', `/runs/${running}/evaluations`, () => {}],
  ['run-checkpoints', `/runs/${running}/checkpoints`, () => {}],
  ['run-events', `/runs/${running}/events`, () => {}],
  ['run-configuration', `/runs/${running}/configuration`, () => {}],
  ['run-logs', `/runs/${running}/logs`, () => {}],
  ['run-missing', '/runs/ftjob-nothing', () => {}],
  ['playground-empty', '/playground', () => {}],
  [
    'playground-4',
    `/playground?${[
      'tiny',
      'ft:tiny:default:records:4f2k9x1c',
      `ft:tiny:default:${LONG}:9x1c4f2k:ckpt-step-120~0.5`,
      'away',
    ]
      .map((model) => `m=${encodeURIComponent(model)}`)
      .join('&')}`,
    fillPlayground,
  ],
  [
    'workers',
    '/workers',
    () => {
      server.workers = [
        makeWorker(1, { status: 'busy', run_id: running, attempt: 1 }),
        makeWorker(2),
        makeWorker(3, {
          status: 'unhealthy',
          status_reason: 'The TensorFlow runtime is missing. Install it on this machine: npx moraine setup',
          device: { kind: 'none', name: '', tensorflow: null, bfloat16: null },
        }),
        makeWorker(4, { status: 'lost', heartbeat_age_s: 344, status_reason: 'No heartbeat for 20 s.' }),
        makeWorker(5, {
          name: 'gpu-a',
          device: { kind: 'gpu', name: 'NVIDIA H100 80GB HBM3', tensorflow: '2.21.0', bfloat16: null },
          cores: 16,
          memory_bytes: 137e9,
        }),
      ];
    },
  ],
  ['workers-0', '/workers', () => void server.workers.splice(0)],
  ['runs-1', '/runs', () => keepOnly(running)],
  ['runs-0', '/runs', () => server.held.clear()],
  ['signed-out', '/runs', () => server.signOut()],
];

const browser = await startBrowser();
for (const [name, path, prepare] of shots) {
  prepare();
  if (!name.includes(only)) continue;
  const page = await browser.open(`${origin}${path}`);
  if (path.startsWith('/playground?')) {
    await page.getByLabel('Prompt').fill('Nevsa gave 3 belts to Gankor.\nWho has them now?');
    await page.getByLabel('Prompt').press('Control+Enter');
    await page.getByRole('button', { name: 'Python' }).first().click();
  }
  for (const width of [1440, 390])
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.setViewportSize({ width, height: width === 390 ? 844 : 900 });
      await page.emulateMedia({ colorScheme });
      await page.waitForTimeout(700);
      await page.screenshot({ path: join(folder, `${name}-${colorScheme}-${width}.png`), timeout: 120_000 });
    }
  await page.close();
  if (browser.complaints.length > 0) console.error(name, browser.complaints.splice(0));
}
await browser.close();
await server.close();
console.log(folder);
