import { copyFileSync, cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AttemptEvent,
  CreateRunRequest,
  METHOD_SPELLINGS,
  methodRow,
  parse,
  requestOf,
  type TrainSpec,
} from '@moraine/contract';
import { readSafetensors, writeSafetensors } from '@moraine/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkResume, type Replay } from '../src/check-resume.js';
import { planRun, runJob } from '../src/index.js';
import { METHODS, ofType, runOf, specOf, writeSums, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const sums = writeSums(base, 'sums.jsonl', 10);
const goOn = { stopRequested: () => null };

/** A run of 6 steps of 6 rows in two parts, on 10 rows: the checkpoints at 2 and 4 lie inside an epoch. */
async function resolved(request: Record<string, unknown>): Promise<TrainSpec> {
  const sizes = { batch_size: 6, accumulation: 2, max_steps: 6, checkpoint: { every_steps: 2 } };
  const parsed = parse(CreateRunRequest, { model: 'm', training_file: 'f', ...sizes, ...request });
  const plan = { request: parsed, baseDir: base, baseName: 'tiny', trainingFile: sums, otherFiles: [], seed: 11 };
  return { ...specOf(base, sums, { type: 'none' }), config: await planRun(plan) };
}

/** What a check of a run that was made needs: from its first checkpoint to its last. */
function replayOf(spec: TrainSpec, events: readonly AttemptEvent[]): Replay {
  const saved = ofType(events, 'checkpoint');
  const [first, last] = [saved[0], saved.at(-1)];
  if (!first || !last) throw new Error('the run has no checkpoints');
  const recorded = ofType(events, 'metrics').map(({ step, values }) => ({
    step,
    loss: values.train_loss ?? Number.NaN,
    gradNorm: values.grad_norm ?? Number.NaN,
  }));
  return { spec: { ...spec, resumeFrom: first.dir }, until: { step: last.step, dir: last.dir }, recorded };
}

/** With dropout and a rank that fits the base, where the method has them. */
const adapterOf = (word: string) => {
  const request = requestOf(word);
  const { keys, shared } = methodRow(request);
  const takes = (key: string): boolean => Object.hasOwn(keys, key) || shared.some((one) => one === key);
  return { ...request, ...(takes('rank') ? { rank: 4 } : {}), ...(takes('dropout') ? { dropout: 0.1 } : {}) };
};
const restart = { restart: { every: 3, warmup: 1 } };

// Every word of --method is here by itself; what is expected is what the run itself recorded.
describe('a resumed run repeats every loss, gradient norm and weight to the bit', () => {
  it.each<[string, Record<string, unknown>]>([
    ...METHOD_SPELLINGS.map((word): [string, Record<string, unknown>] => [word, { adapter: adapterOf(word) }]),
    ['ReLoRA', { adapter: { ...adapterOf('lora'), ...restart } }],
    ['ReMoRA', { adapter: { ...adapterOf('mora-1'), ...restart } }],
    ['AsyLoRA', { adapter: { ...adapterOf('lora'), init: 'asymmetric' } }],
    ['LoRA+ with rsLoRA', { adapter: { ...adapterOf('lora'), lora_plus_ratio: 4, use_rslora: true } }],
    ['modules trained whole', { adapter: { ...adapterOf('lora'), modules_to_save: ['norms', 'embeddings'] } }],
    ['Lion', { optimizer: { type: 'lion' }, adapter: adapterOf('lora') }],
    ['a KL term', { regularize: { kl_to_base: 0.5 }, adapter: adapterOf('lora') }],
    ['a cool-down', { schedule: { type: 'inverse_sqrt', cooldown_steps: 2 }, adapter: adapterOf('mora-6') }],
    ['rows side by side', { packing: false, adapter: adapterOf('lora') }],
    ['mode eager', { mode: 'eager', adapter: adapterOf('lora') }],
    ['mode bf16', { mode: 'bf16', adapter: adapterOf('lora') }],
  ])('%s', async (_name, request) => {
    const spec = await resolved(request);
    const replay = replayOf(spec, await runOf(spec));
    const check = await checkResume(replay, goOn);
    expect(check).toMatchObject({ status: 'equal', from_step: 2, to_step: 6, difference: null });
    expect(check?.repeated_on).toBe(check?.recorded_on);
  });
});

describe('a run that is held at a step', () => {
  const measured = (events: readonly AttemptEvent[]) =>
    ofType(events, 'metrics').map(({ step, values }) => [
      step,
      values.train_loss,
      values.grad_norm,
      values.learning_rate,
    ]);
  const weightsOf = (events: readonly AttemptEvent[]) =>
    readFileSync(join(ofType(events, 'checkpoint').at(-1)?.dir ?? '', 'trainable.safetensors'));

  it('is scored and saved there, gives up its worker, and goes on to the bit as if it never had', async () => {
    const spec = {
      ...(await resolved({ adapter: adapterOf('lora'), evaluation: { every_steps: 2 } })),
      validationFile: sums,
    };
    const again = (changes: Partial<TrainSpec>) =>
      runOf({ ...spec, outDir: mkdtempSync(join(tmpdir(), 'moraine-held-')), ...changes });
    // One that comes to a rung once more is validated there.
    const whole = await runOf({ ...spec, validatesAt: [3] });
    expect(
      ofType(whole, 'metrics')
        .filter(({ values }) => 'valid_loss' in values)
        .map(({ step }) => step),
    ).toEqual([2, 3, 4, 6]);
    const held = await again({ holdAt: 3 });
    expect(held.at(-1)).toMatchObject({ type: 'stopped', reason: 'hold', step: 3 });
    expect(ofType(held, 'metrics').at(-1)).toMatchObject({ step: 3, values: { valid_loss: expect.any(Number) } });
    const at = ofType(held, 'checkpoint').at(-1);
    expect(at?.step).toBe(3);
    const resumeFrom = at?.dir ?? null;
    // Killed between its checkpoint and its last word, it trains no step beyond.
    expect(measured(await again({ holdAt: 3, resumeFrom }))).toEqual([]);
    const promoted = await again({ holdAt: null, resumeFrom });
    expect(measured(promoted)).toHaveLength(3);
    expect([...measured(held), ...measured(promoted)]).toEqual(measured(whole));
    expect(weightsOf(promoted)).toEqual(weightsOf(whole));
    expect(promoted.at(-1)?.type).toBe('finished');
  });
});

describe('the check of a resume', () => {
  let replay: Replay;
  beforeAll(async () => {
    const spec = await resolved({ adapter: adapterOf('lora') });
    replay = replayOf(spec, await runOf(spec));
  });
  /** The checkpoint at the end with something about it changed. */
  const changed = (change: (dir: string) => void): Replay => {
    const dir = mkdtempSync(join(tmpdir(), 'moraine-until-'));
    cpSync(replay.until.dir, dir, { recursive: true });
    change(dir);
    return { ...replay, until: { ...replay.until, dir } };
  };
  const editState = (dir: string, values: object): void => {
    const state = JSON.parse(readFileSync(join(dir, 'state.json'), 'utf8')) as object;
    writeFileSync(join(dir, 'state.json'), JSON.stringify({ ...state, ...values }));
  };
  const nudge =
    (file: string, at: number) =>
    (dir: string): void => {
      const path = join(dir, file);
      const { tensors } = readSafetensors(path);
      const data = [...tensors.values()][0]?.data as Float32Array;
      new Int32Array(data.buffer, data.byteOffset, data.length).set([1], at);
      const again = join(dir, 'again');
      writeSafetensors(again, tensors);
      copyFileSync(again, path);
    };

  it('says from where to where, and what was compared', async () => {
    const check = await checkResume(replay, goOn);
    expect(check?.message).toBe(
      'Resumed from step 2, steps 3 to 6 repeat to the bit what the run recorded: loss and gradient norm of each, then every weight and the state of the optimiser.',
    );
  });

  it.each(['loss', 'gradNorm'] as const)('finds the first step whose %s is not as it was', async (key) => {
    const recorded = replay.recorded.map((one) => (one.step >= 4 ? { ...one, [key]: one[key] * (1 + 1e-12) } : one));
    const check = await checkResume({ ...replay, recorded }, goOn);
    const was = recorded.find(({ step }) => step === 4)?.[key];
    const what = key === 'loss' ? 'train_loss' : 'grad_norm';
    expect(check).toMatchObject({ status: 'different', difference: { step: 4, what, recorded: was } });
    expect(check?.message).toMatch(new RegExp(`^Resumed from step 2, step 4 differs: ${what} was ${was} and is `));
  });

  it.each(['trainable.safetensors', 'optimizer.safetensors'])('finds one bit of difference in %s', async (file) => {
    const check = await checkResume(changed(nudge(file, 3)), goOn);
    expect(check).toMatchObject({
      status: 'different',
      difference: { step: 6, what: expect.stringMatching(/lora_|\./) },
    });
    expect(check?.difference?.recorded).not.toBe(check?.difference?.repeated);
  });

  it('does not call a resume broken whose steps were computed on another device, and names both', async () => {
    const other = changed((dir) => {
      nudge('trainable.safetensors', 0)(dir);
      editState(dir, { device: 'another processor' });
    });
    const check = await checkResume(other, goOn);
    expect(check).toMatchObject({ status: 'inconclusive', recorded_on: 'another processor' });
    expect(check?.message).toMatch(
      /computed on another processor and repeated on .* says nothing against the resume\.$/,
    );
    const unknown = changed((dir) => editState(dir, { device: undefined }));
    expect(await checkResume(unknown, goOn)).toMatchObject({ status: 'equal', recorded_on: null });
  });

  it('that cannot be done says why', async () => {
    const spec = { ...replay.spec, config: { ...replay.spec.config, seed: 12 } };
    const check = await checkResume({ ...replay, spec }, goOn);
    expect(check).toMatchObject({ status: 'failed', message: expect.stringContaining("'seed' was 11 and is 12") });
    const few = await checkResume({ ...replay, recorded: [] }, goOn);
    expect(few).toMatchObject({ status: 'failed', message: expect.stringContaining('no record of step 3') });
  });

  it('that is stopped says nothing', async () => {
    expect(await checkResume(replay, { stopRequested: () => 'drain' })).toBeNull();
  });

  it('as a job of its own says what it found, and that it has ended', async () => {
    const { spec, until, recorded } = replay;
    const events: AttemptEvent[] = [];
    const job = { ...spec, kind: 'verify' as const, resumeFrom: spec.resumeFrom ?? '', until, recorded: [...recorded] };
    await runJob(job, (event) => events.push(event), goOn);
    expect(events).toMatchObject([
      { type: 'verified', check: { status: 'equal' } },
      { type: 'finished', exports: [] },
    ]);
    const stopped: AttemptEvent[] = [];
    await runJob(job, (event) => stopped.push(event), { stopRequested: () => 'cancel' });
    expect(stopped).toMatchObject([{ type: 'stopped', reason: 'cancel' }]);
  });
});

describe('a run that is to check its resume', () => {
  const verifying = (patch: Partial<TrainSpec['config']> = {}, more: Partial<TrainSpec> = {}) => {
    const spec = specOf(base, sums, METHODS.lora ?? { type: 'none' }, more);
    Object.assign(spec.config, {
      verify_resume: true,
      checkpoint: { every_steps: 0, every_seconds: 0, keep_last: 3 },
      ...patch,
    });
    return spec;
  };

  it('saves a checkpoint near its end, goes on from there once more before it has finished, and trains the same', async () => {
    const events = await runOf(verifying());
    expect(ofType(events, 'checkpoint').map(({ step }) => step)).toEqual([10, 12]);
    expect(events.slice(-2)).toMatchObject([
      { type: 'verified', check: { status: 'equal', from_step: 10, to_step: 12 } },
      { type: 'finished', step: 12 },
    ]);
    const plain = await runOf(verifying({ verify_resume: undefined }));
    const values = (of: readonly AttemptEvent[]) => ofType(of, 'metrics').map((one) => one.values.train_loss);
    expect(values(events)).toEqual(values(plain));
  });

  it('may be gone on with like any other, and then checks what it trained itself', async () => {
    const [first] = ofType(
      await runOf(
        verifying({ verify_resume: undefined, checkpoint: { every_steps: 4, every_seconds: 0, keep_last: 3 } }),
        5,
      ),
      'checkpoint',
    );
    const rest = await runOf(verifying({}, { resumeFrom: first?.dir ?? '' }));
    expect(ofType(rest, 'verified')[0]?.check).toMatchObject({ status: 'equal', from_step: 10 });
  });

  it('says nothing where it goes on from its end and has trained nothing', async () => {
    const last = ofType(await runOf(verifying()), 'checkpoint').at(-1);
    const again = await runOf(verifying({}, { resumeFrom: last?.dir ?? '' }));
    expect(ofType(again, 'verified')).toEqual([]);
    expect(again.at(-1)).toMatchObject({ type: 'finished', step: 12 });
  });

  it('checks the steps before an early end too', async () => {
    const stopping = {
      early_stopping: { patience: 2, min_delta: 50 },
      evaluation: { every_steps: 2, files: [], samples: 0 },
      checkpoint: { every_steps: 0, every_seconds: 0, keep_last: 3, keep_best: true },
    };
    const events = await runOf(verifying(stopping, { validationFile: sums }));
    expect(ofType(events, 'finished')[0]).toMatchObject({ step: 6 });
    expect(ofType(events, 'verified')[0]?.check).toMatchObject({ status: 'equal', to_step: 6 });
  });
});
