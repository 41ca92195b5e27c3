import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AttemptEvent, JobSpec } from '@moraine/contract';
import { machineMemory } from '@moraine/contract/machine-memory';
import type { NewLogLine } from '@moraine/services';
import { describe, expect, it } from 'vitest';
import type { Death } from '../src/child-protocol.js';
import { memoryLimitBytes, residentBytes } from '../src/memory.js';
import { probeRuntime } from '../src/probe-runtime.js';
import { type ChildOptions, startTrainingChild, type TrainingChild } from '../src/training-child.js';
import { childScript, type Fault, until } from './helpers.js';

const dir = mkdtempSync(join(tmpdir(), 'moraine-child-'));
const trainingFile = join(dir, 'rows.jsonl');
writeFileSync(trainingFile, '{"text":"a"}\n');

interface Started {
  child: TrainingChild;
  events: AttemptEvent[];
  lines: NewLogLine[];
}

/** A process of the fixture that trains `steps` steps and goes wrong as `test` says. */
function start(test: { stepMs?: number; fault?: Fault }, options: Partial<ChildOptions> = {}, steps = 20): Started {
  const events: AttemptEvent[] = [];
  const lines: NewLogLine[] = [];
  const child = startTrainingChild({
    script: childScript,
    threads: 1,
    memoryLimitBytes: 2 ** 31,
    stuckAfterMs: 30_000,
    onEvent: (event) => events.push(event),
    onLog: (line) => lines.push(line),
    ...options,
  });
  const config = { steps, checkpoint: { every_steps: 1_000 }, test };
  const job = { kind: 'train', taskId: 'ftjob-1', attempt: 1 };
  const spec = { ...job, config, outDir: mkdtempSync(join(dir, 'out-')), resumeFrom: null };
  child.start({ ...spec, trainingFile } as unknown as JobSpec);
  return { child, events, lines };
}
const typesOf = (events: readonly AttemptEvent[]): string[] => [...new Set(events.map(({ type }) => type))];

describe('the process of an attempt', () => {
  it('hands over every event and every line before it counts as ended', async () => {
    const { child, events, lines } = start({});
    await child.ended;
    expect(typesOf(events)).toEqual(['ready', 'metrics', 'finished']);
    expect(events.flatMap((event) => (event.type === 'metrics' ? [event.step] : []))).toEqual(
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
    expect(lines.map(({ level, message }) => `${level}: ${message}`).sort()).toEqual([
      'error: an error line of pino',
      'info: training ftjob-1 attempt 1 from step 0',
      'warn: a warning of a library',
    ]);
  });

  it.runIf(process.platform === 'linux')(
    'runs lower than other programs, in a session of its own that is lowered as a whole',
    async () => {
      const { child } = start({ stepMs: 50 }, { nice: 7 }, 1_000);
      const { child: other } = start({ stepMs: 50 }, {}, 1_000);
      const stat = (pid: number | undefined): string[] => {
        const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
        return text.slice(text.lastIndexOf(')') + 2).split(' ');
      };
      const [SESSION, NICE] = [3, 16];
      expect([stat(child.pid)[SESSION], stat(child.pid)[NICE]]).toEqual([String(child.pid), '7']);
      expect([stat(other.pid)[SESSION], stat(other.pid)[NICE]]).toEqual([String(other.pid), '0']);
      // Absent where the kernel shares nothing out by session.
      const group = `/proc/${child.pid}/autogroup`;
      if (existsSync(group) && readFileSync(group, 'utf8') !== '')
        expect(readFileSync(group, 'utf8')).toMatch(/ nice 7$/m);
      child.kill();
      other.kill();
      await Promise.all([child.ended, other.ended]);
    },
  );

  it('has not ended before its output has: a process of its own may write after it', async () => {
    const script = join(mkdtempSync(join(dir, 'late-')), 'program.mjs');
    writeFileSync(
      script,
      `import { spawn } from 'node:child_process';
       process.on('message', () => {
         spawn('sh', ['-c', 'sleep 0.5; echo the last line'], { stdio: ['ignore', 'inherit', 'inherit'] });
         process.exit(3);
       });`,
    );
    const { child, lines } = start({}, { script });
    await child.ended;
    expect(lines.map(({ message }) => message)).toEqual(['the last line']);
  });

  it.each<[string, Fault['kind'], Partial<Death>]>([
    [
      'is killed from outside',
      'kill',
      { cause: 'hardware', code: 'process_killed', message: expect.stringMatching(/SIGKILL/) },
    ],
    [
      'exits too early',
      'exit',
      { cause: 'internal', code: 'process_exited', message: expect.stringMatching(/status 3/) },
    ],
    ['dies of an error', 'uncaught', { cause: 'internal', code: 'process_exited' }],
  ])('that %s is given that cause', async (_what, kind, wanted) => {
    const { child, events } = start({ fault: { kind, step: 3 } });
    expect(await child.ended).toMatchObject(wanted);
    expect(typesOf(events)).toEqual(['ready', 'metrics']);
  });

  it('that holds more memory than its limit is ended as out of memory, with both numbers', async () => {
    const { child } = start({ fault: { kind: 'oom', step: 2 } }, { memoryLimitBytes: 200 * 2 ** 20 });
    const death = await child.ended;
    expect(death).toMatchObject({ cause: 'oom', code: 'out_of_memory' });
    const held = /held (\d+) MB of at most 200 MB/.exec(death.message)?.[1];
    expect(Number(held)).toBeGreaterThan(200);
    expect(Number(held)).toBeLessThan(1_000); // the fixture takes 320 MB between two looks
  });

  it('that says nothing for too long is ended as stuck', async () => {
    const { child } = start({ fault: { kind: 'hang', step: 2 } }, { stuckAfterMs: 1_000 });
    expect(await child.ended).toEqual({
      cause: 'internal',
      code: 'stuck',
      message: 'The training process gave no sign of progress for 1 seconds in a step.',
    });
  });

  it('that says much and does not get on is ended as stuck', async () => {
    const { child, events } = start({ fault: { kind: 'talk', step: 2 } }, { stuckAfterMs: 1_000 });
    expect(await child.ended).toMatchObject({ code: 'stuck' });
    expect(typesOf(events)).toEqual(['ready', 'metrics', 'message']);
  });

  it('stops after the step when asked, and says where', async () => {
    // A step lasts longer than the two requests are on their way.
    const { child, events } = start({ stepMs: 300 }, {}, 10_000);
    await until('two steps are made', () => events.length > 2, 20_000);
    child.stop('drain', 20_000);
    child.stop('pause', 20_000); // the last reason counts
    await child.ended;
    const last = events.at(-1);
    expect(last).toMatchObject({ type: 'stopped', reason: 'pause' });
    const steps = events.filter(({ type }) => type === 'metrics').length;
    expect(last).toMatchObject({ step: steps });
  });

  it('that does not stop is killed when the deadline is over, not before', async () => {
    const { child, events } = start({ fault: { kind: 'sleep', step: 2 } });
    await until('a step is made', () => events.length > 1, 20_000);
    const begun = Date.now();
    child.stop('cancel', 400);
    expect(await child.ended).toMatchObject({ code: 'process_killed' });
    expect(Date.now() - begun).toBeGreaterThanOrEqual(390);
  });
});

describe('the process of an attempt that still prepares', () => {
  it('has nothing to save: in a row that takes long it is killed soon after it was asked to stop', async () => {
    const { child } = start({ fault: { kind: 'hang', step: 0 } });
    await until('it encodes', () => child.idleMs() > 300, 20_000);
    const begun = performance.now();
    child.stop('cancel', 60_000);
    expect(await child.ended).toMatchObject({ code: 'process_killed' });
    expect(performance.now() - begun).toBeLessThan(20_000);
  });
});

describe('the probe of the runtime', () => {
  it('says what the training program can compute on', async () => {
    expect(await probeRuntime(childScript, 1)).toEqual({
      device: { kind: 'cpu', name: 'fixture', tensorflow: '0' },
      problem: null,
    });
  });

  it.each([
    [
      'has an error',
      'throw new Error("libtensorflow.so.2: cannot open");',
      /status 1\..*libtensorflow\.so\.2: cannot open/s,
    ],
    ['ends without a word', 'process.exit(7);', /status 7/],
    ['is killed', 'process.kill(process.pid, "SIGKILL"); setTimeout(() => {}, 1e6);', /SIGKILL/],
  ])('of a program that %s says so, with what to do', async (_what, source, message) => {
    const script = join(mkdtempSync(join(dir, 'probe-')), 'program.mjs');
    writeFileSync(script, source);
    const { device, problem } = await probeRuntime(script, 1);
    expect(device.kind).toBe('none');
    expect(problem).toMatch(message);
    expect(problem).toMatch(/Run npx moraine doctor/);
  });
});

it('the memory of this machine and of a process is known, of a process that is gone not', () => {
  expect(machineMemory()).toBeGreaterThan(2 ** 28);
  expect(memoryLimitBytes()).toBeGreaterThan(machineMemory() / 2);
  expect(memoryLimitBytes()).toBeLessThan(machineMemory());
  expect(residentBytes(process.pid)).toBeGreaterThan(2 ** 24);
  expect(residentBytes(2 ** 22 + 1)).toBeNull();
});
