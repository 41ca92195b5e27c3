import { existsSync } from 'node:fs';
import { CreateRunRequest, type EvaluationObject, parse, type RunObject, type StreamMessage } from '@moraine/contract';
import { describe, expect, test } from 'vitest';
import { readArguments } from '../src/args.js';
import { demoCommand } from '../src/commands/demo.js';
import { tuneCommand } from '../src/commands/tune.js';
import { nextStep } from '../src/demo/next-step.js';
import { demoPlan, requestOf, type TaskFile } from '../src/demo/plan.js';
import { legend, type RunReport, resultTable, samples, verdict } from '../src/demo/report.js';
import { apply, secondsLeft, type WatchedRun, watched } from '../src/demo/watch.js';
import { table } from '../src/terminal.js';

const IDS: Record<TaskFile, string> = {
  train: 't',
  validation: 'v',
  heldout: 'h',
  newnames: 'n',
  closedBook: 'c',
  source: 's',
};

test.each([false, true])(
  'the three requests are valid and differ only in method, learning rate and name (short: %s)',
  (isShort) => {
    const plan = demoPlan(isShort);
    const requests = plan.methods.map((method) => parse(CreateRunRequest, requestOf(plan, method, 'base', IDS, 7)));
    expect(requests.map(({ adapter }) => adapter?.rank)).toEqual([8, 8, 8]);
    const rest = requests.map(({ adapter: _a, optimizer: _o, suffix: _s, metadata: _m, ...same }) => same);
    expect(rest[1]).toEqual(rest[0]);
    expect(rest[2]).toEqual(rest[0]);
    expect(rest[0]).toMatchObject({
      seed: 7,
      max_steps: plan.steps,
      evaluation: { files: ['h', 'n', 'c', { file_id: 's', role: 'source' }] },
    });
  },
);

test('the epochs asked for cover the steps', () => {
  for (const plan of [demoPlan(false), demoPlan(true)]) {
    const rows =
      plan.files
        .find(({ role }) => role === 'train')
        ?.content.toString()
        .trimEnd()
        .split('\n').length ?? 0;
    const [method] = plan.methods;
    if (!method) throw new Error('no method');
    const epochs = requestOf(plan, method, 'base', IDS, 0).method.supervised.hyperparameters.n_epochs;
    expect(epochs * Math.ceil(rows / plan.batchSize)).toBeGreaterThanOrEqual(plan.steps);
  }
});

test('a watched run follows its stream, back to where a new attempt resumes', () => {
  const run = watched('LoRA', { id: 'ftjob-1' }, 100);
  run.status = 'running';
  const metric = (step: number) =>
    apply(run, {
      event: 'metric',
      data: { step, attempt: 1, at: 0, values: { train_loss: 2 - step / 100, step_ms: 500, tokens_per_second: 900 } },
    });
  metric(10);
  metric(11);
  expect(run).toMatchObject({ step: 11, loss: 1.89, firstLoss: 1.9, tokensPerSecond: 900 });
  expect(secondsLeft(run)).toBeCloseTo(44.5);
  apply(run, { event: 'reset', data: { step: 5, attempt: 2 } });
  expect(run.step).toBe(5);
});

describe('of what a run says, a watcher keeps', () => {
  const started = (): WatchedRun => ({ ...watched('LoRA', { id: 'r' }, 100), status: 'running', note: 'before' });
  const reason = { code: 'no_worker', message: 'No worker is free.', since: 0 };
  const point = (values: Record<string, number>, step = 7): StreamMessage => ({
    event: 'metric',
    data: { step, attempt: 1, at: 0, values },
  });

  test('the last step and loss, and a speed and a step time that jump by a fifth of the way', () => {
    const run = started();
    apply(run, point({ train_loss: 3, tokens_per_second: 100, step_ms: 50 }));
    apply(run, point({ train_loss: 2, tokens_per_second: 200, step_ms: 100 }, 8));
    expect(run).toMatchObject({ step: 8, loss: 2, firstLoss: 3, tokensPerSecond: 120, stepMs: 60, note: '' });
    apply(run, point({ train_loss: 1 }, 6));
    expect(run).toMatchObject({ step: 8, loss: 1, tokensPerSecond: 120, stepMs: 60 });
  });

  test('nothing of points that are not about training', () => {
    const run = started();
    apply(run, point({ valid_loss: 1 }));
    expect(run).toEqual(started());
  });

  test('its status with the reason, and what it says once it runs', () => {
    const run: WatchedRun = { ...started(), status: 'queued', note: '' };
    const event = (message: string): StreamMessage => ({
      event: 'event',
      data: {
        id: 'e',
        object: 'fine_tuning.job.event',
        created_at: 0,
        level: 'info',
        message,
        type: 'message',
        data: {},
      },
    });
    const status = (now: RunObject['status'], why: typeof reason | null): StreamMessage => ({
      event: 'status',
      data: { status: now, state: null, state_reason: why, attempt: 1 },
    });
    apply(run, status('queued', reason));
    apply(run, event('Created.'));
    expect(run).toMatchObject({ status: 'queued', note: 'No worker is free.' });
    apply(run, status('running', null));
    apply(run, event('The base is loaded.'));
    expect(run).toMatchObject({ status: 'running', note: 'The base is loaded.' });
  });

  test('no time left before there is a step to go by', () => {
    expect(secondsLeft(started())).toBeNull();
    expect(secondsLeft({ ...started(), step: 40, stepMs: 250 })).toBe(15);
  });
});

describe('the short form', () => {
  const [whole, short] = [demoPlan(false), demoPlan(true)];
  const rowsOf = (plan: typeof whole, role: TaskFile): string[] =>
    plan.files
      .find((file) => file.role === role)
      ?.content.toString('utf8')
      .trimEnd()
      .split('\n') ?? [];

  test.each(whole.files.map(({ role }) => role))('has the first rows of the file %s, under another name', (role) => {
    const [all, some] = [rowsOf(whole, role), rowsOf(short, role)];
    expect(some.length).toBeLessThan(all.length);
    expect(some).toEqual(all.slice(0, some.length));
    expect(() => some.map((row) => JSON.parse(row))).not.toThrow();
    const names = [whole, short].map((plan) => plan.files.find((file) => file.role === role)?.filename);
    expect(names[1]).toBe(`short-${names[0]}`);
  });

  test('differs from the whole in steps and rows alone', () => {
    expect(short.methods).toEqual(whole.methods);
    expect(short.files.map(({ role, purpose }) => [role, purpose])).toEqual(
      whole.files.map(({ role, purpose }) => [role, purpose]),
    );
    expect(short.steps * short.batchSize).toBeLessThan(0.1 * whole.steps * whole.batchSize);
  });
});

const evaluation = (step: number, loss: number, exact_match: number): EvaluationObject => ({
  id: 'e',
  object: 'evaluation',
  created_at: 0,
  run_id: 'r',
  file_id: 'h',
  name: 'heldout',
  role: 'target',
  step,
  rows: 200,
  supervised_tokens: 1,
  loss,
  bits_per_byte: null,
  token_accuracy: 0,
  exact_match,
  kl_to_base: null,
  samples: [],
});

function report(status: RunObject['status'], before: EvaluationObject, after: EvaluationObject): RunReport {
  const [method] = demoPlan(true).methods;
  if (!method) throw new Error('no method');
  // Only what the verdict reads.
  const run = { status, error: null } as RunObject;
  return {
    method,
    run,
    before: { heldout: before },
    after: { heldout: after },
    tokensPerSecond: null,
    trainingSeconds: null,
  };
}

test('the demo is good when exact match rose, in short form when the loss fell, and never when a run failed', () => {
  const learned = report('succeeded', evaluation(0, 4, 0), evaluation(150, 0.1, 0.98));
  const onlyLoss = report('succeeded', evaluation(0, 4, 0), evaluation(15, 2, 0));
  const worse = report('succeeded', evaluation(0, 4, 0), evaluation(15, 5, 0));
  expect(verdict([learned], false)).toEqual({ isGood: true, problems: [] });
  expect(verdict([learned, onlyLoss], false).problems).toEqual([
    'LoRA: exact match on held-out rows did not rise (0.0 % → 0.0 %)',
  ]);
  expect(verdict([onlyLoss], true).isGood).toBe(true);
  expect(verdict([worse], true).problems).toEqual(['LoRA: the held-out loss did not fall (4 → 5)']);
  expect(verdict([report('failed', evaluation(0, 4, 0), evaluation(150, 0.1, 1))], false).isGood).toBe(false);
  expect(verdict([report('succeeded', evaluation(0, 4, 0), evaluation(0, 4, 0))], true).isGood).toBe(false);
});

test('the table has the base once, then each method with what it cost; a run that failed says so', () => {
  const [before, after] = [evaluation(0, 4, 0), evaluation(150, 0.1234, 0.985)];
  const trained = (status: RunObject['status']): RunReport => {
    const one = report(status, before, after);
    const run = { ...one.run, config: { trainable_parameters: 12_345 } } as RunObject;
    return { ...one, run, trainingSeconds: 12.6, tokensPerSecond: 8765.4 };
  };
  const rows = resultTable([trained('succeeded'), trained('failed')])
    .split('\n')
    .slice(2);
  const cellsOf = (row: string | undefined) => row?.split(/ {2,}/);
  expect(rows).toHaveLength(3);
  expect(cellsOf(rows[0])).toEqual(['base', '4.000', '0.0 %']);
  expect(cellsOf(rows[1])).toEqual(['LoRA', '0.123', '98.5 %', '12,345', '8,765', '13']);
  expect(rows[2]).toMatch(/^LoRA \(failed\) /);
  expect(legend([trained('succeeded')], 200, 100)).toContain('held-out: 200 rows');
});

test('three held-out rows are shown with what the base and each adapter write; a right one is marked', () => {
  const sample = (i: number, generated: string) => ({ prompt: `p${i}`, expected: ` e${i}\n`, generated });
  const rows = (...generated: string[]) => generated.map((words, i) => sample(i, words));
  const before = { ...evaluation(0, 4, 0), samples: rows('x'.repeat(200), 'a\nb', 'c', 'd') };
  const after = { ...evaluation(9, 1, 1), samples: rows('e0', 'e0', ' e2 ', 'e3') };
  const blocks = samples([report('succeeded', before as EvaluationObject, after as EvaluationObject)]).split('\n\n');
  expect(blocks).toHaveLength(3);
  expect(blocks[0]).toContain(`base      ${'x'.repeat(120)}…`);
  expect(blocks[1]).toContain('base      a ⏎ b');
  expect(blocks.map((block) => block.includes('✓'))).toEqual([true, false, true]);
});

test('the last line is a tuning of the rows of the demo on its own stack, which the command takes', () => {
  const demo = readArguments(demoCommand, ['--data', 'else where']);
  const [, words = ''] = /npx moraine tune (.*)$/.exec(nextStep(demo, true)) ?? [];
  const asked = readArguments(tuneCommand, words.replace("'else where'", 'else_where').split(' '));
  expect(asked.options).toMatchObject({ budget: '30m', data: 'else_where' });
  for (const file of [...asked.positionals, String(asked.options.keep)]) expect(existsSync(file), file).toBe(true);
  expect(nextStep(readArguments(demoCommand, []), true)).not.toContain('--data');
  expect(nextStep(demo, false)).toContain("npx moraine up --data 'else where', then");
});

test('columns are as wide as their widest cell and numbers end together', () => {
  const lines = table(
    [{ title: 'a' }, { title: 'n', align: 'right' }],
    [
      ['long', '1'],
      ['x', '1,000'],
    ],
  ).split('\n');
  expect(lines).toEqual(['a         n', '────  ─────', 'long      1', 'x     1,000']);
});
