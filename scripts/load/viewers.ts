/**
 * `npm run bench:viewers`: how long after the end of a step its metrics reach everybody who watches the run, over real training.
 * Options: --viewers 1000 --seconds 30.
 */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { call, uploadInputs } from './fill.js';
import { useOf } from './process-use.js';
import { quantile } from './quantile.js';
import { type LoadStack, startLoadStack } from './stack.js';

const { values: options } = parseArgs({
  options: { viewers: { type: 'string', default: '1000' }, seconds: { type: 'string', default: '30' } },
});
const [viewers, seconds] = [Number(options.viewers), Number(options.seconds)];
const GOAL_MS = 500;

/** Times from the end of each step to the arrival of its metrics, milliseconds, while `isOn` says so. */
async function watch(
  { url, key }: LoadStack,
  path: string,
  agent: Agent,
  isOn: () => boolean,
  took: number[],
): Promise<void> {
  const asking = request(url + path, { agent, headers: { authorization: `Bearer ${key}` } });
  asking.end();
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  if (response.statusCode !== 200) throw new Error(`GET ${path}: ${response.statusCode}`);
  response.setEncoding('utf8');
  response.on('error', () => undefined);
  let rest = '';
  response.on('data', (text: string) => {
    const now = Date.now();
    const messages = (rest + text).split('\n\n');
    rest = messages.pop() ?? '';
    if (!isOn()) return;
    for (const message of messages) {
      // Seconds, with a fraction.
      const at = /^event: ?metric$/m.test(message) && /"at":([\d.]+)/.exec(message)?.[1];
      if (at) took.push(now - Number(at) * 1_000);
    }
  });
}

const stack = await startLoadStack({ LOG_LEVEL: 'warn' });
const agent = new Agent({ maxSockets: Number.POSITIVE_INFINITY });
try {
  const inputs = await uploadInputs(stack);
  const run = await call(stack, 'POST', '/v1/fine_tuning/jobs', { ...inputs, hyperparameters: { n_epochs: 50 } });
  const stepOf = async (): Promise<number> =>
    ((await call(stack, 'GET', `/v1/fine_tuning/jobs/${run.id}`)).progress as { step: number }).step;
  while ((await stepOf()) < 3) await sleep(500);

  const took: number[] = [];
  let isOn = false;
  for (let n = 0; n < viewers; n += 50)
    await Promise.all(
      Array.from({ length: Math.min(50, viewers - n) }, () =>
        watch(stack, `/v1/runs/${run.id}/stream`, agent, () => isOn, took),
      ),
    );
  // What was stored before comes first.
  await sleep(3_000);
  const [before, first] = [useOf(stack.pids.api), await stepOf()];
  isOn = true;
  await sleep(seconds * 1_000);
  isOn = false;
  const [after, last] = [useOf(stack.pids.api), await stepOf()];
  const p = (q: number): string => `${quantile(took, q).toFixed(0)} ms`;
  console.log(
    `${viewers} viewers of a run that made ${last - first} steps in ${seconds} s: ${took.length} arrivals, ${(took.length / viewers).toFixed(1)} a viewer`,
  );
  console.log(`p50 ${p(0.5)}   p95 ${p(0.95)}   p99 ${p(0.99)}   worst ${p(1)}   (goal: p95 ≤ ${GOAL_MS} ms)`);
  console.log(`API: ${((after.cpuS - before.cpuS) / seconds).toFixed(2)} of a core, ${after.residentMb.toFixed(0)} MB`);
} finally {
  agent.destroy();
  await stack.stop();
}
