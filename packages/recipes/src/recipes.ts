import type { JobSpec, TaskKind } from '@moraine/contract';
import type { Control, Emit } from './control.js';
import { runAnalyse } from './run-analyse.js';
import { runEvaluate } from './run-evaluate.js';
import { runSft } from './run-sft.js';
import { runVerify } from './run-verify.js';

type Recipe<K extends TaskKind> = (spec: JobSpec<K>, emit: Emit, control: Control) => Promise<void>;

/** How each kind of job is done: one function per kind. */
export const RECIPES: { readonly [K in TaskKind]: Recipe<K> } = {
  train: runSft,
  verify: runVerify,
  evaluate: runEvaluate,
  analyse: runAnalyse,
};

/** Does a job by its kind. Emits exactly one `finished` or `stopped` as its last event, or throws. */
export const runJob = <K extends TaskKind>(spec: JobSpec<K>, emit: Emit, control: Control): Promise<void> =>
  RECIPES[spec.kind](spec, emit, control);
