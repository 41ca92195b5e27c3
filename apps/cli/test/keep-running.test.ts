import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { type KeptPart, keepRunning, type PartEvent, type RunningPart } from '../src/up/keep-running.js';
import { endProcess, identify, isRunning, type ProcessId } from '../src/up/processes.js';

vi.setConfig({ testTimeout: 30_000 });

/** A real process as a part; `line` is what node runs in it. */
async function startPart(line = 'setInterval(() => {}, 1000)'): Promise<RunningPart> {
  const child = spawn(process.execPath, ['-e', line], { stdio: 'ignore' });
  const ended = once(child, 'close').then(() => undefined);
  const id = identify(child.pid ?? 0);
  if (!id) throw new Error('the process has no id');
  return {
    id,
    adopted: false,
    ended,
    stop: () => endProcess(id, 'SIGTERM', 5_000),
    kill: () => endProcess(id, 'SIGKILL', 5_000),
  };
}

const currentOf = (part: KeptPart): ProcessId => {
  const current = part.current();
  if (!current) throw new Error('nothing runs');
  return current.id;
};
const waits = (events: PartEvent[]): number[] =>
  events.flatMap((event) => ('restartMs' in event ? event.restartMs : []));

test('a part that is killed is started again after 0.2 s, and no more after stop', async () => {
  const events: PartEvent[] = [];
  const part = await keepRunning('part', startPart, (event) => events.push(event));
  const first = currentOf(part);
  process.kill(first.pid, 'SIGKILL');
  await vi.waitFor(() => expect(events.map(({ type }) => type)).toEqual(['started', 'ended', 'started']), 10_000);
  const second = currentOf(part);
  expect(second).not.toEqual(first);
  expect(waits(events)).toEqual([200]);
  await part.stop();
  expect(isRunning(second)).toBe(false);
  await sleep(400);
  expect(part.current()).toBeNull();
  expect(events).toHaveLength(3);
});

test('a part that ends at once is given twice the time before each new start', async () => {
  const events: PartEvent[] = [];
  const part = await keepRunning(
    'part',
    () => startPart('0'),
    (event) => events.push(event),
  );
  await vi.waitFor(() => expect(waits(events).length).toBeGreaterThanOrEqual(3), 15_000);
  await part.stop();
  expect(waits(events).slice(0, 3)).toEqual([200, 400, 800]);
});

test('a first start that fails is an error of the caller; a later one is reported and tried again', async () => {
  const events: PartEvent[] = [];
  const fail = async (): Promise<RunningPart> => {
    throw new Error('no port');
  };
  await expect(keepRunning('part', fail, (event) => events.push(event))).rejects.toThrow('no port');
  expect(events).toEqual([]);

  let starts = 0;
  const startOr = (): Promise<RunningPart> => (++starts === 2 ? fail() : startPart());
  const part = await keepRunning('part', startOr, (event) => events.push(event));
  await part.restart();
  await vi.waitFor(() => expect(events.at(-1)?.type).toBe('started'), 10_000);
  await vi.waitFor(() => expect(starts).toBe(3), 10_000);
  expect(events).toContainEqual(
    expect.objectContaining({ type: 'failed', message: expect.stringContaining('no port') }),
  );
  await part.kill();
});

test('a part that does not respond is ended although it runs, and started again; one that is slow is left alone', async () => {
  const events: PartEvent[] = [];
  const questions: number[] = [];
  /** It answers, by the time of its last turn, for as long as it is not stopped. */
  const startTalking = async (): Promise<RunningPart> => {
    const child = spawn(process.execPath, ['-e', "setInterval(() => process.stdout.write('.'), 20)"], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let said = 0;
    child.stdout.on('data', () => said++);
    await once(child.stdout, 'data');
    const id = identify(child.pid ?? 0);
    if (!id) throw new Error('the process has no id');
    const kill = () => endProcess(id, 'SIGKILL', 5_000);
    const isAlive = async (): Promise<boolean> => {
      questions.push(id.pid);
      const before = said;
      await sleep(100);
      // Twice in a row it is late, as under load.
      return said > before && questions.length % 4 > 1;
    };
    return { id, adopted: false, ended: once(child, 'close').then(() => undefined), stop: kill, kill, isAlive };
  };
  const part = await keepRunning('part', startTalking, (event) => events.push(event), { everyMs: 20, hungMs: 1_500 });
  const first = currentOf(part);
  await vi.waitFor(() => expect(questions.length).toBeGreaterThan(8), 10_000);
  expect(events.map(({ type }) => type)).toEqual(['started']);
  process.kill(first.pid, 'SIGSTOP');
  await vi.waitFor(
    () => expect(events.map(({ type }) => type)).toEqual(['started', 'hung', 'ended', 'started']),
    10_000,
  );
  expect(isRunning(first)).toBe(false);
  await part.stop();
  await sleep(200);
  expect(events).toHaveLength(4);
});

test('a part that is stopped while it starts does not outlive the stop', async () => {
  let slow: RunningPart | null = null;
  let starts = 0;
  const start = async (): Promise<RunningPart> => {
    const part = await startPart();
    if (++starts === 1) return part;
    slow = part;
    await sleep(300);
    return part;
  };
  const part = await keepRunning('part', start, () => {});
  process.kill(currentOf(part).pid, 'SIGKILL');
  await vi.waitFor(() => expect(slow).not.toBeNull(), 10_000);
  await part.stop();
  expect(isRunning((slow as unknown as RunningPart).id)).toBe(false);
});
