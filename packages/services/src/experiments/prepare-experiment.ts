import { AppError, parse } from '@moraine/contract';
import {
  type ExperimentPlan,
  ExperimentRequest,
  type ExperimentSpec,
  planExperiment,
} from '@moraine/contract/experiments';
import { parseModelConfig } from '@moraine/contract/plan';
import type { Actor, Services } from '../ground/context.js';
import type { BaseModel, FileModel } from '../ground/generated/models.js';
import { requestHash } from '../ground/request-hash.js';
import { requireBase } from '../library/require-base.js';
import { waitForFile } from '../library/wait-for-file.js';

/** An experiment whose names are all resolved. */
export interface PreparedExperiment {
  spec: ExperimentSpec;
  base: BaseModel;
  plan: ExperimentPlan;
  /** Of the request with the contents of files in place of their ids: an upload of the same rows asks for the same. */
  requestHash: string;
}

/** @throws AppError for everything that can be wrong with an experiment before a row of it is read. */
export async function prepareExperiment(
  s: Services,
  actor: Actor,
  body: unknown,
  templateDate: string,
): Promise<PreparedExperiment> {
  const { dry_run: _dry, ...spec } = parse(ExperimentRequest, body);
  const base = await requireBase(s, actor, spec.model);
  const files = await filesOf(s, actor, spec);
  const rowsOf = (id: string): number => files.get(id)?.rows ?? 0;
  const contentOf = (id: string): string => files.get(id)?.sha256 ?? id;
  const plan = planExperiment({ spec, base: parseModelConfig(base.config), rowsOf, contentOf, templateDate });
  if (plan.runs.most > RUNS_MAX)
    throw new AppError('invalid_value', `The experiment may take ${plan.runs.most} runs; ${RUNS_MAX} are the most.`, {
      param: 'arms',
      hint: 'Compare fewer arms, or try fewer rates or seeds.',
    });
  const contents = (value: unknown): unknown => withContents(value, files);
  return { spec, base, plan, requestHash: requestHash({ ...(contents(spec) as object), model: base.sha256 }) };
}

const RUNS_MAX = 2_000;

/** Every file that the experiment names, by its id. */
async function filesOf(s: Services, actor: Actor, spec: ExperimentSpec): Promise<Map<string, FileModel>> {
  const { training_file, data_mix = [], evaluation, arms } = spec;
  const named: [id: string, param: string][] = [
    [training_file, 'training_file'],
    ...data_mix.map(({ file_id }, i): [string, string] => [file_id, `data_mix[${i}].file_id`]),
    [evaluation.validation, 'evaluation.validation'],
    ...(evaluation.test === undefined ? [] : [[evaluation.test, 'evaluation.test'] as [string, string]]),
    ...evaluation.source.map((id, i): [string, string] => [id, `evaluation.source[${i}]`]),
    ...arms.flatMap((arm, at) =>
      (arm.data_mix ?? []).map(({ file_id }, i): [string, string] => [file_id, `arms[${at}].data_mix[${i}].file_id`]),
    ),
  ];
  const files = new Map<string, FileModel>();
  for (const [id, param] of named) if (!files.has(id)) files.set(id, await waitForFile(s, actor, id, param));
  return files;
}

/** A value with the hash of a file wherever its id is. */
function withContents(value: unknown, files: ReadonlyMap<string, FileModel>): unknown {
  if (typeof value === 'string') return files.get(value)?.sha256 ?? value;
  if (Array.isArray(value)) return value.map((one) => withContents(one, files));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withContents(inner, files)]));
}
