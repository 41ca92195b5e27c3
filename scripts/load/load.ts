/**
 * `npm run load`: how the API fares at 200 requests a second, of which one in ten creates a run, with 20,000 runs in the table and while a
 * run trains. An open loop; bursts beside it. Options: --seconds 60 --rate 200 --creates 0.1 --runs 20000 --no-training --check.
 */
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { call, fillRuns, uploadInputs } from './fill.js';
import { openLoop, type Result, type Shot, type Target } from './open-loop.js';
import { type Use, useOf } from './process-use.js';
import { quantile } from './quantile.js';
import { mixOf } from './shots.js';
import { type LoadStack, startLoadStack } from './stack.js';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    rate: { type: 'string', default: '200' },
    creates: { type: 'string', default: '0.1' },
    runs: { type: 'string', default: '20000' },
    'no-training': { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
  },
});
const [seconds, rate, creates, runs] = [options.seconds, options.rate, options.creates, options.runs].map(Number) as [
  number,
  number,
  number,
  number,
];

/** What must be held on a machine that does nothing else. */
const GOALS = { readMs: 100, createMs: 200 };
const BURST = { connections: 50, seconds: 10 };

const ms = (value: number): string => value.toFixed(1).padStart(9);

function row(name: string, results: readonly Result[]): string {
  const times = results.map((result) => result.ms);
  const failed = results.filter(({ status }) => status >= 500 && status !== 503).length;
  const broken = results.filter(({ status }) => status === 0).length;
  const shed = results.filter(({ status }) => status === 503 || status === 429).length;
  const figures = [0.5, 0.95, 0.99, 1].map((q) => ms(quantile(times, q))).join('');
  return `${name.padEnd(24)}${String(results.length).padStart(8)}${figures}${[failed, shed, broken].map((count) => String(count).padStart(8)).join('')}`;
}

function table(title: string, results: readonly Result[], before: Use, after: Use): void {
  console.log(`\n${title}`);
  console.log(`${''.padEnd(24)}requests   p50 ms   p95 ms   p99 ms   max ms     5xx     503  broken`);
  for (const kind of ['read', 'create'] as const) {
    const ofKind = results.filter((result) => result.kind === kind);
    if (ofKind.length > 0) console.log(row(kind, ofKind));
    const names = [...new Set(ofKind.map(({ name }) => name))];
    if (names.length > 1)
      for (const name of names)
        console.log(
          row(
            `  ${name}`,
            ofKind.filter((one) => one.name === name),
          ),
        );
  }
  const cpuMs = ((after.cpuS - before.cpuS) * 1_000) / results.length;
  console.log(
    `API: ${cpuMs.toFixed(2)} ms of processor time a request; memory ${before.residentMb.toFixed(0)} MB before, ${after.residentMb.toFixed(0)} MB after`,
  );
}

async function measured(stack: LoadStack, title: string, work: () => Promise<Result[]>): Promise<Result[]> {
  const before = useOf(stack.pids.api);
  const results = await work();
  table(title, results, before, useOf(stack.pids.api));
  return results;
}

/** Connections that ask again as soon as they have an answer, by autocannon: what the server can do at most. */
async function burst({ url, key }: Target, next: (n: number) => Shot): Promise<void> {
  let n = 0;
  const { latency, requests, non2xx, errors, ...found } = await autocannon({
    url,
    connections: BURST.connections,
    duration: BURST.seconds,
    headers: { authorization: `Bearer ${key}` },
    requests: [
      {
        setupRequest: (request) => {
          const { method, path, body } = next(n++);
          const json = body === undefined ? {} : { 'content-type': 'application/json' };
          return {
            ...request,
            method,
            path,
            headers: { ...request.headers, ...json },
            body: body === undefined ? undefined : JSON.stringify(body),
          };
        },
      },
    ],
  });
  console.log(`\nBursts: ${BURST.connections} connections that ask again at once, for ${BURST.seconds} s (autocannon)`);
  console.log(
    `${requests.average.toFixed(0)} requests/s; p50 ${latency.p50}, p99 ${latency.p99}, max ${latency.max} ms; ${found['5xx']} 5xx, ${non2xx} not 2xx, ${errors} errors`,
  );
}

const stack = await startLoadStack({ LOG_LEVEL: 'warn' });
const target: Target = stack;
try {
  const inputs = await uploadInputs(target);
  const train = await call(target, 'POST', '/v1/fine_tuning/jobs', {
    ...inputs,
    hyperparameters: { n_epochs: 50 },
    ...(options['no-training'] && { pool: 'nobody' }),
  });
  const id = String(train.id);
  await fillRuns(stack.databaseUrl, id, runs);
  const progress = async () => (await call(target, 'GET', `/v1/fine_tuning/jobs/${id}`)).progress as { step: number };
  const next = mixOf(inputs, id, creates);
  // Code that never ran is slow; nobody's service starts with a full load.
  await openLoop(target, { rate: rate / 4, seconds: 5, next });
  const stepsBefore = (await progress()).step;
  const results = await measured(stack, `${rate} requests/s for ${seconds} s, ${runs} runs in the table`, () =>
    openLoop(target, { rate, seconds, next }),
  );
  console.log(`The run that trained made ${(await progress()).step - stepsBefore} steps meanwhile.`);
  await burst(target, next);
  const p99 = (kind: Result['kind']): number =>
    quantile(
      results.filter((one) => one.kind === kind).map((one) => one.ms),
      0.99,
    );
  const isHeld =
    p99('read') <= GOALS.readMs &&
    !(p99('create') > GOALS.createMs) &&
    results.every(({ status }) => status > 0 && status < 500);
  console.log(
    `\nGoal (p99 ≤ ${GOALS.readMs} ms read, ≤ ${GOALS.createMs} ms create, no 5xx): ${isHeld ? 'held' : 'not held'}`,
  );
  if (options.check && !isHeld) process.exitCode = 1;
} finally {
  await stack.stop();
}
