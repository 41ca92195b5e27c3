import { join } from 'node:path';
import { AppError, explain, plainCheck, type ResumeCheck, type StepRecord, type TrainSpec } from '@moraine/contract';
import { readSafetensors } from '@moraine/engine';
import type { Trainer } from '@moraine/lm';
import { readCheckpointState } from './checkpoint.js';
import type { Control } from './control.js';
import { openRun } from './sft.js';
import { describeDevice, type Run, resume } from './train.js';

export interface Replay {
  /** With `resumeFrom`. */
  spec: TrainSpec;
  /** The checkpoint to arrive at. */
  until: { step: number; dir: string };
  /** What the run recorded of every step in between. */
  recorded: readonly StepRecord[];
}

type Difference = NonNullable<ResumeCheck['difference']>;

/**
 * Goes on from a checkpoint as a resumed run does, with everything read and traced anew, and compares to the bit what comes out with what
 * the run recorded: loss and gradient norm of each step, then every tensor of the checkpoint that it arrives at. Returns null when it was
 * stopped on the way. What keeps it from being done is a check that `failed`.
 */
export async function checkResume(replay: Replay, control: Control): Promise<ResumeCheck | null> {
  try {
    const opened = await openRun(replay.spec, () => undefined, control);
    if (opened === null) return null;
    const { run } = opened;
    try {
      const from = resume(run)?.step ?? 0;
      const difference = await repeat(run, replay);
      return difference === 'stopped' ? null : verdictOf(from, replay, difference);
    } finally {
      run.trainer.dispose();
    }
  } catch (error) {
    return plainCheck('failed', `The resume could not be checked: ${explain(error)}`);
  }
}

/** The first difference, null where there is none. */
async function repeat(
  { trainer, stepBatches, control }: Run,
  { until, recorded }: Replay,
): Promise<Difference | null | 'stopped'> {
  const records = new Map(recorded.map((record) => [record.step, record]));
  while (trainer.steps < until.step) {
    if (control.stopRequested() !== null) return 'stopped';
    control.progress?.('step');
    const { step, loss, gradNorm } = trainer.step(stepBatches.at(trainer.steps + 1).batches);
    const record = records.get(step);
    if (record === undefined) throw incomparable(`the run has no record of step ${step}`);
    if (loss !== record.loss) return { step, what: 'train_loss', recorded: record.loss, repeated: loss };
    if (gradNorm !== record.gradNorm) return { step, what: 'grad_norm', recorded: record.gradNorm, repeated: gradNorm };
    await new Promise(setImmediate);
  }
  return differingTensor(trainer, until);
}

function differingTensor(trainer: Trainer, { step, dir }: Replay['until']): Difference | null {
  for (const file of ['trainable.safetensors', 'optimizer.safetensors']) {
    for (const [what, { data }] of readSafetensors(join(dir, file)).tensors) {
      const now = trainer.variables([what]).get(what)?.data;
      if (!(data instanceof Float32Array) || now === undefined) throw incomparable(`the run has no tensor ${what}`);
      const [was, is] = [bitsOf(data), bitsOf(now)];
      const at = was.findIndex((bits, i) => bits !== is[i]);
      if (at >= 0) return { step, what, recorded: data[at] ?? Number.NaN, repeated: now[at] ?? Number.NaN };
    }
  }
  return null;
}

const incomparable = (why: string): AppError => new AppError('checkpoint_mismatch', why);

const bitsOf = (data: Float32Array): Int32Array => new Int32Array(data.buffer, data.byteOffset, data.length);

function verdictOf(from: number, { until }: Replay, difference: Difference | null): ResumeCheck {
  const recordedOn = readCheckpointState(until.dir).device ?? null;
  const repeatedOn = describeDevice();
  const isSame = recordedOn === repeatedOn;
  const begin = `Resumed from step ${from}, `;
  const status = difference === null ? 'equal' : isSame ? 'different' : 'inconclusive';
  const elsewhere = `The steps were computed on ${recordedOn ?? 'a device that is not known'} and repeated on ${repeatedOn}, where the last bits may differ; this says nothing against the resume.`;
  const sentence =
    difference === null
      ? `steps ${from + 1} to ${until.step} repeat to the bit what the run recorded: loss and gradient norm of each, then every weight and the state of the optimiser.`
      : `step ${difference.step} differs: ${difference.what} was ${difference.recorded} and is ${difference.repeated}.`;
  return {
    status,
    message: `${begin}${sentence}${status === 'inconclusive' ? ` ${elsewhere}` : ''}`,
    from_step: from,
    to_step: until.step,
    difference,
    recorded_on: recordedOn,
    repeated_on: repeatedOn,
    at: Math.floor(Date.now() / 1_000),
  };
}
