import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AttemptEvent, TrainSpec } from '@moraine/contract';
import { collate, encodeFile, loadTokenizer } from '@moraine/data';
import { loadTf, readSafetensors } from '@moraine/engine';
import { createModel, evaluate } from '@moraine/lm';
import { beforeAll, describe, expect, it } from 'vitest';
import { failureOf, loadBase, runSft } from '../src/index.js';
import { runApart } from './run-apart.js';
import { lossesOf, METHODS, ofType, runOf, specOf, tinyTargets, writeSums, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const sums = writeSums(base, 'sums.jsonl', 40);
const method = (name: string) => METHODS[name] ?? { type: 'none' as const };

/** The first five steps with every method, in another process. */
const firstParts = new Map<string, AttemptEvent[]>();
beforeAll(async () => {
  const names = Object.keys(METHODS);
  const parts = await runApart(names.map((name) => ({ spec: specOf(base, sums, method(name)), stopAfter: 5 })));
  for (const [i, name] of names.entries()) firstParts.set(name, parts[i] ?? []);
}, 120_000);

describe.each(Object.keys(METHODS))('a run with %s', (name) => {
  it('repeats, resumed with dropout from another process, the losses of the uninterrupted run bit for bit', async () => {
    const whole = await runOf(specOf(base, sums, method(name)));
    const first = firstParts.get(name) ?? [];
    const checkpoint = ofType(first, 'checkpoint').at(-1);
    const rest = await runOf(specOf(base, sums, method(name), { resumeFrom: checkpoint?.dir ?? null }));
    expect(checkpoint?.step).toBe(5);
    expect(lossesOf(first)).toEqual(lossesOf(whole).slice(0, 5));
    expect(lossesOf(rest)).toEqual(lossesOf(whole).slice(5));
    expect(ofType(rest, 'finished')[0]?.resultFile).toBe(ofType(whole, 'finished')[0]?.resultFile);
    expect(ofType(rest, 'finished')[0]?.trainedTokens).toBe(ofType(whole, 'finished')[0]?.trainedTokens);
  });

  it('learns, and leaves a merged model that scores what the adapter scored', async () => {
    const spec = specOf(base, sums, method(name), { evaluationFiles: [{ id: 'file-1', name: 'sums', path: sums }] });
    spec.config.steps = 40;
    const events = await runOf(spec);
    const losses = lossesOf(events);
    expect(losses.at(-1)).toBeLessThan((losses[0] ?? 0) * 0.9);
    const [before, after] = ofType(events, 'evaluation').map(({ result }) => result);
    expect(before?.step).toBe(0);
    expect(after?.loss).toBeLessThan((before?.loss ?? 0) * 0.9);
    expect(after?.samples).toHaveLength(2);
    const merged = ofType(events, 'finished')[0]?.exports.find(({ kind }) => kind === 'merged')?.dir ?? '';
    const { config, weights } = loadBase(merged);
    const tokenizer = await loadTokenizer(merged);
    const { rows } = await encodeFile(sums, tokenizer, { maxSeqLen: 32 });
    const batch = collate(rows, { padId: tokenizer.padId });
    const model = await createModel({ config, weights, evaluation: [batch] });
    const scored = await evaluate(model.score, [batch]);
    model.dispose();
    expect(scored.loss).toBeCloseTo(after?.loss ?? 0, 5);
    expect(scored.exactMatch).toBe(after?.exactMatch);
  });
});

describe('a run that is compared with its base', () => {
  const regularized = (name: string, kl_to_base: number) => {
    const spec = specOf(base, sums, method(name), { validationFile: sums });
    spec.config.regularize = { kl_to_base, on: 'task' };
    return spec;
  };
  const seriesOf = (events: readonly AttemptEvent[], metric: string): (number | undefined)[] =>
    ofType(events, 'metrics').map(({ values }) => values[metric]);

  it.each(['lora', 'full'])('begins at distance 0 and measures how far it went: %s', async (name) => {
    const events = await runOf(regularized(name, 0));
    const [first, ...others] = seriesOf(events, 'kl_to_base');
    expect(first).toBe(0);
    for (const distance of others) expect(distance).toBeGreaterThan(0);
    expect(seriesOf(events, 'valid_kl_to_base').at(-1)).toBeGreaterThan(0);
    const plain = specOf(base, sums, method(name), { validationFile: sums });
    expect(lossesOf(events), 'measuring changes nothing').toEqual(lossesOf(await runOf(plain)));
  });

  it('stays nearer where that is dear, and learns less', async () => {
    const [free, held] = [await runOf(regularized('lora', 0)), await runOf(regularized('lora', 20))];
    const last = (events: readonly AttemptEvent[], metric: string) => seriesOf(events, metric).at(-1) ?? Number.NaN;
    expect(last(held, 'valid_kl_to_base')).toBeLessThan(0.5 * last(free, 'valid_kl_to_base'));
    expect(last(held, 'train_loss')).toBeGreaterThan(last(free, 'train_loss'));
  });
});

it('a run with attention dropout trains otherwise, is scored without it, and resumes bit for bit', async () => {
  const dropped = (own: Partial<TrainSpec> = {}) => {
    const spec = specOf(base, sums, method('full'), { validationFile: sums, ...own });
    spec.config.attention_dropout = 0.3;
    return spec;
  };
  const events = await runOf(dropped());
  const plain = await runOf(specOf(base, sums, method('full'), { validationFile: sums }));
  expect(lossesOf(events)[0]).not.toBe(lossesOf(plain)[0]);
  const [first] = ofType(events, 'checkpoint');
  const resumed = await runOf(dropped({ resumeFrom: first?.dir ?? null }));
  expect(first?.step).toBeGreaterThan(0);
  expect(lossesOf(resumed)).toEqual(lossesOf(events).slice(first?.step));
});

it('the first attempt says what was chosen for the run and why, a later one does not again, and a checkpoint is of no words', async () => {
  const chosen = (reason: string, own: Partial<TrainSpec> = {}) => {
    const spec = specOf(base, sums, method('lora'), own);
    spec.config.chosen = [{ param: 'batch_size', reason }];
    return spec;
  };
  const said = (events: readonly AttemptEvent[]) =>
    ofType(events, 'message').map(({ level, message }) => [level, message]);
  const events = await runOf(chosen('few rows'));
  const { config } = chosen('few rows');
  expect(said(events)).toContainEqual(['info', `batch_size ${config.batch_size} was chosen: few rows.`]);
  const resumeFrom = ofType(events, 'checkpoint')[0]?.dir ?? null;
  const later = await runOf(chosen('said in other words by now', { resumeFrom }));
  expect(said(later)).toEqual(said(events).filter(([level]) => level !== 'info'));
  expect(later.at(-1)).toMatchObject({ type: 'finished' });
});

it('a drained or paused run saves where it stands, a cancelled run does not', async () => {
  for (const reason of ['drain', 'pause'] as const) {
    const stopped = await runOf(specOf(base, sums, method('lora')), 3, reason);
    expect(ofType(stopped, 'checkpoint').map(({ step }) => step)).toEqual([3]);
    expect(stopped.at(-1)).toMatchObject({ type: 'stopped', reason, step: 3 });
  }
  const cancelled = await runOf(specOf(base, sums, method('lora')), 3, 'cancel');
  expect(ofType(cancelled, 'checkpoint')).toEqual([]);
  expect(cancelled.at(-1)).toMatchObject({ type: 'stopped', reason: 'cancel', step: 3 });
});

it('a run that is paused twice ends with the losses and the weights of one that was not, to the bit', async () => {
  const whole = await runOf(specOf(base, sums, method('lora')));
  let resumeFrom: string | null = null;
  const losses: number[] = [];
  for (const steps of [3, 4]) {
    const part: AttemptEvent[] = await runOf(specOf(base, sums, method('lora'), { resumeFrom }), steps, 'pause');
    losses.push(...lossesOf(part));
    resumeFrom = ofType(part, 'checkpoint').at(-1)?.dir ?? null;
  }
  const last = await runOf(specOf(base, sums, method('lora'), { resumeFrom }));
  expect(losses.length).toBe(7);
  expect([...losses, ...lossesOf(last)]).toEqual(lossesOf(whole));
  const bytesOf = (events: AttemptEvent[]): Buffer[] =>
    ofType(events, 'finished').flatMap(({ exports }) =>
      exports.flatMap(({ dir }) => (dir === null ? [] : weightsBelow(dir))),
    );
  expect(bytesOf(whole).length).toBeGreaterThan(0);
  expect(bytesOf(last)).toEqual(bytesOf(whole));
});

const weightsBelow = (dir: string): Buffer[] =>
  readdirSync(dir)
    .filter((name) => name.endsWith('.safetensors'))
    .map((name) => readFileSync(join(dir, name)));

it('a checkpoint of another configuration is refused', async () => {
  const events = await runOf(specOf(base, sums, method('lora')), 5);
  const dir = ofType(events, 'checkpoint')[0]?.dir ?? null;
  const other = specOf(base, sums, method('lora'), { resumeFrom: dir });
  other.config.seed = 12;
  await expect(runOf(other)).rejects.toMatchObject({ code: 'checkpoint_mismatch' });
});

it('a whole run leaves no tensor behind', async () => {
  const tf = loadTf();
  const before = tf.memory().numTensors;
  await runOf(specOf(base, sums, method('mora type 1')));
  expect(tf.memory().numTensors).toBe(before);
});

it('rows that were cut or hold nothing to learn are said', async () => {
  const file = join(base, 'long.jsonl');
  const rows = [
    { prompt: '1+1=', completion: '2'.repeat(60) },
    { prompt: 'x'.repeat(60), completion: '2' },
  ];
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'));
  const events = await runOf(specOf(base, file, method('lora')), 1);
  const [warning] = ofType(events, 'message');
  expect(warning?.level).toBe('warn');
  expect(warning?.message).toMatch(/1 rows were cut .* 1 rows have a prompt that fills/);
});

it('a learning rate that explodes fails with its step and what to do, as nan', async () => {
  const spec = specOf(base, sums, method('full'));
  spec.config.optimizer = { ...spec.config.optimizer, learning_rate: 1e30, max_grad_norm: 0 };
  const error: unknown = await runOf(spec).catch((thrown: unknown) => thrown);
  expect(failureOf(error)).toMatchObject({ cause: 'nan', code: 'nan_loss' });
  expect(failureOf(error).message).toMatch(
    /Its rows: lines [\d, ]+ of the training file\. (Largest norms of what is trained: model\.|\d+ of \d+ trained tensors)/,
  );
  expect(failureOf(error).message).toMatch(/Step \d+: loss is .*Lower the learning rate/);
});

it('a learning rate under which the loss rises far above guessing ends the run, though every loss is a number', async () => {
  const spec = specOf(base, sums, method('full'));
  spec.config.steps = 60;
  spec.config.optimizer = { ...spec.config.optimizer, learning_rate: 10 };
  const error: unknown = await runOf(spec).catch((thrown: unknown) => thrown);
  expect(failureOf(error)).toMatchObject({ cause: 'nan', code: 'loss_diverged' });
  expect(failureOf(error).message).toMatch(
    /^Step \d+: the training loss rose from .* Its rows: lines .* Largest norms/,
  );
});

it('a LoRA adapter lies in the layout of PEFT, MoRA in its own, and MoRA type 1 in both', async () => {
  const folder = async (name: string) => {
    const events = await runOf(specOf(base, sums, method(name)));
    return new Map(ofType(events, 'finished')[0]?.exports.map(({ kind, dir }) => [kind, dir]));
  };
  const lora = await folder('lora');
  const tensors = readSafetensors(join(lora.get('adapter') ?? '', 'adapter_model.safetensors')).tensors;
  expect([...tensors.keys()].sort()).toEqual(
    tinyTargets
      .flatMap((path) => [`base_model.model.${path}.lora_A.weight`, `base_model.model.${path}.lora_B.weight`])
      .sort(),
  );
  expect(JSON.parse(readFileSync(join(lora.get('adapter') ?? '', 'adapter_config.json'), 'utf8'))).toMatchObject({
    peft_type: 'LORA',
    r: 4,
    lora_alpha: 8,
  });
  const sharing = await folder('mora type 1');
  expect(readdirSync(sharing.get('adapter') ?? '').sort()).toEqual([
    'README.md',
    'export.json',
    'mora_config.json',
    'mora_model.safetensors',
  ]);
  expect(existsSync(join(sharing.get('peft') ?? '', 'adapter_model.safetensors'))).toBe(true);
  expect((await folder('mora type 6')).has('peft')).toBe(false);
  expect([...(await folder('full')).keys()]).toEqual(['merged']);
});

describe('the rows that are left', () => {
  const file = join(base, 'some-too-long.jsonl');
  const row = (i: number) => ({ prompt: i % 5 === 0 ? 'x'.repeat(60) : `${i}?`, completion: `${i}` });
  writeFileSync(file, Array.from({ length: 37 }, (_, i) => `${JSON.stringify(row(i))}\n`).join(''));

  it('are what epochs are counted over', async () => {
    const spec = specOf(base, file, method('lora'));
    const follows = { n_epochs: 2, max_steps: null, warmup_ratio: 0.1, evaluations: null };
    Object.assign(spec.config, { batch_size: 4, accumulation: 1, n_epochs: 2, steps: 19, follows });
    const events = await runOf(spec);
    const [ready] = ofType(events, 'ready');
    expect(ready).toMatchObject({ rows: 29, steps: 15, config: { steps: 15, schedule: { warmup_steps: 2 } } });
    expect(ofType(events, 'metrics').at(-1)?.step).toBe(15);
    expect(ofType(events, 'finished')).toHaveLength(1);
  });

  it('are the same on whichever day the run is computed, when the template names the day', async () => {
    const dated = writeTinyBase();
    const template =
      "{{ strftime_now('%Y-%m-%d') }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token if m.role == 'assistant' }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
    writeFileSync(join(dated, 'chat_template.jinja'), template);
    const spec = specOf(dated, sums, method('lora'));
    spec.config.template_date = '2024-02-29';
    spec.evaluationFiles = [{ id: 'file-1', name: 'sums', path: sums }];
    const [first] = ofType(await runOf(spec, 1), 'evaluation');
    expect(first?.result.samples[0]?.prompt).toMatch(/^2024-02-29/);
  });

  it('and whatever else takes time is said while it is done, for whoever watches over the progress', async () => {
    const phases: string[] = [];
    const spec = specOf(base, sums, method('lora'));
    spec.config.checkpoint.every_steps = 1;
    spec.evaluationFiles = [{ id: 'file-1', name: 'sums', path: sums }];
    const progress = (phase: string) => phases.at(-1) !== phase && phases.push(phase);
    await runSft(spec, () => undefined, { stopRequested: () => null, progress });
    expect(phases.slice(0, 7)).toEqual([
      'loading',
      'encoding',
      'loading',
      'tracing',
      'evaluation',
      'step',
      'checkpoint',
    ]);
    expect(phases.at(-1)).toBe('export');
  });

  it('are not read to their end when the run is cancelled meanwhile', async () => {
    const many = join(base, 'many-rows.jsonl');
    writeFileSync(many, `${JSON.stringify({ prompt: 'count '.repeat(200), completion: 'yes' })}\n`.repeat(20_000));
    const events: AttemptEvent[] = [];
    const begun = performance.now();
    await runSft(specOf(base, many, method('lora')), (event) => events.push(event), { stopRequested: () => 'cancel' });
    expect(performance.now() - begun).toBeLessThan(3_000);
    expect(events).toMatchObject([{ type: 'stopped', reason: 'cancel', step: 0, trainedTokens: 0 }]);
  });
});
