import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AttemptEvent, RunConfig } from '@moraine/contract';
import { beforeAll, describe, expect, it } from 'vitest';
import { METHODS, ofType, runOf, specOf, writeSums, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const sums = writeSums(base, 'sums.jsonl', 40);
/** The same questions with other answers: at first the model learns their form, then that they are wrong. */
const others = join(base, 'others.jsonl');
writeFileSync(
  others,
  readFileSync(sums, 'utf8').replace(/"completion":"(\d+)"/g, (_, sum: string) => `"completion":"${Number(sum) + 3}"`),
);

/** A run of 40 steps that validates every second one; its rows are learned by heart. */
const stoppingSpec = (patch: Partial<RunConfig> = {}, more: Parameters<typeof specOf>[3] = {}) => {
  const spec = specOf(base, sums, METHODS.lora ?? { type: 'none' }, { validationFile: others, ...more });
  Object.assign(spec.config, {
    steps: 40,
    evaluation: { every_steps: 2, files: [], samples: 0 },
    checkpoint: { every_steps: 7, every_seconds: 0, keep_last: 3, keep_best: true },
    early_stopping: { patience: 3, min_delta: 0 },
    ...patch,
  });
  spec.config.optimizer = { ...spec.config.optimizer, learning_rate: 3e-2 };
  return spec;
};

const validsOf = (events: readonly AttemptEvent[]): { step: number; loss: number }[] =>
  ofType(events, 'metrics').flatMap(({ step, values }) =>
    values.valid_loss === undefined ? [] : [{ step, loss: values.valid_loss }],
  );
const weightsOf = (dir: string, name: string): Buffer => readFileSync(join(dir, name));
const lastOf = (events: readonly AttemptEvent[]) => {
  const [finished] = ofType(events, 'finished');
  if (!finished) throw new Error('the run did not finish');
  return finished;
};
const messagesOf = (events: readonly AttemptEvent[]): string[] => ofType(events, 'message').map((one) => one.message);

describe('a run that may end early', () => {
  let events: AttemptEvent[];
  let best: { step: number; loss: number };
  const rates = (of: readonly AttemptEvent[]) => ofType(of, 'metrics').map(({ values }) => values.learning_rate);
  const dirOf = (step: number) => ofType(events, 'checkpoint').find((one) => one.step === step)?.dir ?? '';
  beforeAll(async () => {
    events = await runOf(stoppingSpec());
    best = validsOf(events).reduce((a, b) => (b.loss < a.loss ? b : a));
  });

  it('ends three evaluations after its best one, long before its last step, and counts what it trained', () => {
    const ended = lastOf(events);
    expect(ended.step).toBe(best.step + 6);
    expect(ended.step).toBeLessThan(40);
    expect(ofType(events, 'metrics').at(-1)).toMatchObject({
      step: ended.step,
      values: { trained_tokens: ended.trainedTokens },
    });
    expect(ended.resultFile.trim().split('\n')).toHaveLength(1 + ended.step);
    expect(ended.stoppedEarly).toMatch(new RegExp(`^Stopped early at step ${ended.step} of 40: .*step ${best.step}`));
    expect(messagesOf(events)).toContain(ended.stoppedEarly);
  });

  it('follows the learning rate of the run that does not', async () => {
    const whole = await runOf(stoppingSpec({ early_stopping: undefined }), 8);
    expect(rates(events).slice(0, 8)).toEqual(rates(whole));
  });

  it('saves every evaluation that is the best so far, although checkpoints are due at other steps', () => {
    const steps = ofType(events, 'checkpoint').map(({ step, bestStep }) => [step, bestStep]);
    let lowest = Number.POSITIVE_INFINITY;
    const bests = validsOf(events).flatMap(({ step, loss }) => {
      if (loss >= lowest) return [];
      lowest = loss;
      return [step];
    });
    expect(steps.filter(([step, bestStep]) => step === bestStep).map(([step]) => step)).toEqual(bests);
    expect(steps.at(-1)).toEqual([lastOf(events).step, best.step]);
  });

  it('has its best checkpoint as the result, not its last', () => {
    expect(lastOf(events).resultStep).toBe(best.step);
    expect(messagesOf(events).at(-1)).toBe(
      `The result is of step ${best.step}, where the validation loss was best (${best.loss.toFixed(4)}).`,
    );
  });

  it('gives the weights of its best checkpoint to exports and to the evaluations at its end', async () => {
    const spec = stoppingSpec({}, { evaluationFiles: [{ id: 'file-1', name: 'others', path: others }] });
    const own = await runOf(spec);
    const last = ofType(own, 'evaluation').at(-1)?.result;
    expect(last).toMatchObject({ step: best.step });
    expect(last?.loss).toBeCloseTo(best.loss, 6);
    // A run of as many steps as the best checkpoint has ends with its weights, at a rate that does not change.
    const schedule = { type: 'constant' as const, warmup_steps: 0, min_ratio: 0 };
    const stopped = await runOf(stoppingSpec({ schedule }));
    const { resultStep, exports } = lastOf(stopped);
    const short = lastOf(await runOf(stoppingSpec({ schedule, early_stopping: undefined, steps: resultStep })));
    for (const [i, { dir }] of exports.entries()) {
      const file = exports[i]?.kind === 'merged' ? 'model.safetensors' : 'adapter_model.safetensors';
      expect(weightsOf(dir ?? '', file).equals(weightsOf(short.exports[i]?.dir ?? '', file))).toBe(true);
    }
  });

  it('decides the same from whichever checkpoint it goes on', async () => {
    const whole = lastOf(events);
    for (const { step, dir } of ofType(events, 'checkpoint')) {
      const known = ofType(events, 'checkpoint').find((one) => one.step === step)?.bestStep ?? 0;
      const resumed = await runOf(stoppingSpec({}, { resumeFrom: dir, bestFrom: dirOf(known) || null }));
      const { at: _at, exports, ...ended } = lastOf(resumed);
      expect(ended, `from step ${step}`).toEqual({
        type: 'finished',
        step: whole.step,
        resultStep: whole.resultStep,
        stoppedEarly: whole.stoppedEarly,
        trainedTokens: whole.trainedTokens,
        resultFile: whole.resultFile,
      });
      const adapterOf = (all: typeof exports) => all.find(({ kind }) => kind === 'adapter')?.dir ?? '';
      const file = 'adapter_model.safetensors';
      expect(weightsOf(adapterOf(exports), file).equals(weightsOf(adapterOf(whole.exports), file))).toBe(true);
    }
  });

  it('gives its last weights, and says why, when its best checkpoint is gone', async () => {
    const last = ofType(events, 'checkpoint').at(-1);
    const resumed = await runOf(stoppingSpec({}, { resumeFrom: last?.dir ?? null, bestFrom: null }));
    expect(lastOf(resumed)).toMatchObject({ step: last?.step, resultStep: last?.step });
    expect(messagesOf(resumed).at(-1)).toBe(
      `The best checkpoint, of step ${best.step}, cannot be read (its files are gone); the result is of step ${last?.step}.`,
    );
  });

  it('gives its last weights when its best checkpoint is damaged: nothing that was trained is lost', async () => {
    const own = await runOf(stoppingSpec());
    const kept = ofType(own, 'checkpoint').find(({ step }) => step === best.step)?.dir ?? '';
    rmSync(join(kept, 'trainable.safetensors'));
    const resumeFrom = ofType(own, 'checkpoint').at(-1)?.dir ?? null;
    const resumed = await runOf(stoppingSpec({}, { resumeFrom, bestFrom: kept }));
    expect(lastOf(resumed).resultStep).toBe(lastOf(own).step);
  });
});

it('a run that does not end early, but could have, has its best checkpoint as the result too', async () => {
  const events = await runOf(stoppingSpec({ early_stopping: { patience: 100, min_delta: 0 } }));
  const best = validsOf(events).reduce((a, b) => (b.loss < a.loss ? b : a));
  expect(best.step).toBeLessThan(40);
  expect(lastOf(events)).toMatchObject({ step: 40, resultStep: best.step, stoppedEarly: null });
});

it.each([
  ['best', undefined],
  ['last', { patience: 3, min_delta: 0 }],
] as const)('a run has the result that it is asked for: the %s', async (result, early_stopping) => {
  const checkpoint = { every_steps: 0, every_seconds: 0, keep_last: 3, keep_best: true, result };
  const spec = stoppingSpec(
    { steps: 12, early_stopping, checkpoint },
    { evaluationFiles: [{ id: 'file-1', name: 'sums', path: sums }] },
  );
  const events = await runOf(spec);
  const best = validsOf(events).reduce((a, b) => (b.loss < a.loss ? b : a));
  const until = result === 'best' ? 12 : best.step + 6;
  expect(until).toBeLessThanOrEqual(12);
  const of = result === 'best' ? best.step : until;
  expect(lastOf(events)).toMatchObject({ step: until, resultStep: of });
  // Rows that nobody chooses by are read for the base and for the result, and no more.
  expect(ofType(events, 'evaluation').map(({ result: { step } }) => step)).toEqual([0, of]);
});

it('a run that is not asked to end early has its last step as the result, and its best checkpoint is known', async () => {
  const events = await runOf(stoppingSpec({ early_stopping: undefined }));
  const best = validsOf(events).reduce((a, b) => (b.loss < a.loss ? b : a));
  expect(lastOf(events)).toMatchObject({ step: 40, resultStep: 40, stoppedEarly: null });
  expect(ofType(events, 'checkpoint').at(-1)).toMatchObject({ step: 40, bestStep: best.step });
});

it('a run that goes on with another validation file does not compare its losses with those of the first', async () => {
  const first = await runOf(stoppingSpec({ early_stopping: undefined }), 8);
  const resumeFrom = ofType(first, 'checkpoint').at(-1)?.dir ?? null;
  const spec = stoppingSpec({ early_stopping: undefined }, { resumeFrom, validationFile: sums });
  const rest = await runOf(spec);
  const best = validsOf(rest).reduce((a, b) => (b.loss < a.loss ? b : a));
  expect(ofType(rest, 'checkpoint').at(-1)?.bestStep).toBe(best.step);
});
