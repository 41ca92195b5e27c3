import type { ModelShape } from '../architectures/tensor.js';
import { AppError } from '../errors.js';
import { SHARED_KEYS, WHOLE_KEYS } from '../methods/method.js';
import {
  type AdapterRequest,
  DEFAULT_METHOD,
  type MethodConfig,
  methodCoverage,
  methodLabel,
  methodRow,
  requestOf,
  wordOf,
} from '../methods/registry.js';
import { OPTIMIZERS } from '../optimizers.js';
import { epochDraws, mixedFilesOf } from '../plan/data-mix.js';
import { learningRateAuto, twoDigits } from '../plan/learning-rate.js';
import { resolveAdapter } from '../plan/resolve-adapter.js';
import { resolveConfig } from '../plan/resolve-config.js';
import type { RunConfig } from '../run-config.js';
import { CreateRunRequest } from '../run-request.js';
import { parse } from '../validate.js';
import { planRungs, type RungPlan, rungsOf } from './asha.js';
import { checkFiles } from './check-files.js';
import { type MatchedArm, matchParameters, type Sized } from './match.js';
import { type ArmPlan, type Cell, nextStep } from './next.js';
import { notComparable } from './not-comparable.js';
import { type ArmSearch, firstRates, rateCounts } from './search.js';
import type { ExperimentArm, ExperimentSpec } from './spec.js';

export interface PlanInput {
  /** Parsed. */
  spec: ExperimentSpec;
  base: ModelShape;
  /** Rows of a file, by its id. */
  rowsOf: (fileId: string) => number;
  /** What a file holds, by its id: equal for equal contents, as its hash is. Default: the id itself. */
  contentOf?: (fileId: string) => string;
  /** The day that a chat template takes for today in every run, YYYY-MM-DD. */
  templateDate: string;
}

/** An arm with everything that is known of it before anything starts. */
export interface PlannedArm extends ArmPlan {
  /** With the size that the budget gave it. */
  adapter: AdapterRequest;
  method: string;
  label: string;
  color: string;
  trainableParameters: number;
  /** What it trains, in words. */
  coverage: string;
  /** Share of source rows among those that are drawn; null where only targets are. */
  replayShare: number | null;
  /** Rates that are tried first, and runs over seeds and rates. */
  rates: number[];
  runs: { least: number; most: number };
  /** Of a search by rungs: how many of its runs come to each; absent where every run goes on to its last step. */
  rungs?: RungPlan[];
  /** Of its first run. */
  config: RunConfig;
}

export interface ExperimentPlan {
  arms: PlannedArm[];
  /** What starts at once. */
  cells: Cell[];
  runs: { least: number; most: number };
  /** Why its arms will not be comparable, as far as that is known before a run; sentences that follow "not comparable because". */
  warnings: string[];
}

/**
 * Expands an experiment to its arms, with resolved counts, and to its first cells. Pure: page, command line and API show this one plan.
 * @throws AppError naming the key, its value and what to do.
 */
export function planExperiment(input: PlanInput): ExperimentPlan {
  const { spec, base } = input;
  checkFiles(spec, input.contentOf ?? ((id) => id));
  checkOwn(spec, 'data_mix', 'data', 'other rows');
  checkOwn(spec, 'settings', 'settings', 'other settings');
  const named = nameArms(spec.arms);
  const sized = spec.match ? matchParameters(named, spec.match.parameters, base) : named;
  const arms = spec.arms.map((arm, i) => planArm(input, arm, sized[i] as Sized, i));
  const total = (end: 'least' | 'most'): number => arms.reduce((sum, { runs }) => sum + runs[end], 0);
  return {
    arms,
    cells: nextStep(arms, spec.seeds, []).start,
    runs: { least: total('least'), most: total('most') },
    warnings: warningsOf(spec, arms),
  };
}

/** The request of a cell's run, without what the experiment adds to the row. */
export function cellRequest(spec: ExperimentSpec, { adapter, name }: Pick<PlannedArm, 'adapter' | 'name'>, cell: Cell) {
  const { n_epochs, optimizer, ...fixed } = spec.fixed;
  const own = armOf(spec, name)?.settings ?? {};
  const { validation, test, source, every_steps, samples, points, analyses } = spec.evaluation;
  const mix = armOf(spec, name)?.data_mix ?? spec.data_mix;
  const isFinal = cell.phase === 'final';
  // Rows that are reported, and those of the base's knowledge, are no business of the search. Those that are reported are not looked at on the way.
  const onTheWay = isFinal && points !== 'ends' ? { during: points } : {};
  const files = [
    { file_id: validation, role: 'target' as const, ...onTheWay },
    ...(isFinal && test !== undefined ? [{ file_id: test, role: 'target' as const }] : []),
    ...(isFinal ? source.map((file_id) => ({ file_id, role: 'source' as const, ...onTheWay })) : []),
  ];
  return {
    model: spec.model,
    training_file: spec.training_file,
    ...(mix === undefined ? {} : { data_mix: mix }),
    validation_file: validation,
    suffix: `${cell.arm} lr ${cell.learning_rate} s${cell.seed}`.slice(0, 64),
    seed: cell.seed,
    ...(spec.metadata === undefined ? {} : { metadata: spec.metadata }),
    ...fixed,
    ...own,
    adapter,
    optimizer: { ...optimizer, ...own.optimizer, learning_rate: cell.learning_rate },
    ...(n_epochs === undefined ? {} : { hyperparameters: { n_epochs } }),
    evaluation: {
      every_steps,
      samples: isFinal ? samples : 0,
      files,
      ...(isFinal && analyses !== undefined ? { analyses } : {}),
    },
    priority: spec.priority,
    ...(spec.pool === undefined ? {} : { pool: spec.pool }),
  } satisfies CreateRunRequest;
}

const invalid = (param: string, problem: string, hint: string): AppError =>
  new AppError('invalid_value', `'${param}' is ${problem}.`, { param, hint });

/** Names of arms, with what each trains. @throws AppError for a name that two arms have. */
function nameArms(arms: readonly ExperimentArm[]): Sized[] {
  const named = arms.map(({ name, adapter }) => {
    const request = typeof adapter === 'string' ? requestOf(adapter) : adapter;
    return { name: name ?? nameOf(request), adapter: request as AdapterRequest };
  });
  for (const [i, { name }] of named.entries()) {
    const before = named.findIndex((other) => other.name === name);
    if (before < i)
      throw invalid(`arms[${i}].name`, `'${name}', as that of arms[${before}]`, 'Give every arm a name of its own.');
  }
  return named;
}

/** The word for a method and its kind, with the rank where that is given. */
function nameOf({ type = DEFAULT_METHOD.type, rank, ...others }: AdapterRequest): string {
  const isShared = (key: string): boolean => key in SHARED_KEYS || key in WHOLE_KEYS;
  const own = Object.entries(others).filter(([key, value]) => value !== undefined && !isShared(key));
  const word = wordOf({ type, ...Object.fromEntries(own) });
  return rank === undefined ? word : `${word} r${rank}`;
}

function planArm(input: PlanInput, arm: ExperimentArm, sized: Sized | MatchedArm, at: number): PlannedArm {
  const { spec, base } = input;
  const resolved = inExperiment(arm, at, () => resolveAdapter(sized.adapter, base).adapter);
  const search = searchOf(spec, arm, automaticRate(spec, resolved, base), `arms[${at}].learning_rates`);
  const rates = firstRates(search);
  const config = inExperiment(arm, at, () => resolveArm(input, sized, rates[rates.length >> 1] ?? 1));
  const counts = rates.length === 1 ? { least: 0, most: 0 } : rateCounts(search);
  const finals = new Set(spec.seeds.final).size;
  return {
    name: sized.name,
    adapter: sized.adapter,
    search,
    method: config.adapter.type,
    label: methodLabel(config.adapter),
    color: methodRow(config.adapter).color,
    trainableParameters: config.trainable_parameters,
    coverage: methodCoverage(config.adapter),
    replayShare: replayShareOf(config.data_mix),
    rates,
    runs: { least: counts.least + finals, most: counts.most + finals },
    ...(search.type === 'asha' ? { rungs: planRungs(search) } : {}),
    config,
  };
}

/** The configuration of an arm's run at a rate, as the run itself would resolve it. */
function resolveArm({ spec, base, rowsOf, templateDate }: PlanInput, arm: Sized, rate: number): RunConfig {
  const cell: Cell = { arm: arm.name, phase: 'final', learning_rate: rate, seed: spec.seeds.search };
  const request = parse(CreateRunRequest, cellRequest(spec, arm, cell));
  const mix = mixedFilesOf(request, spec.training_file);
  const files = mix?.map(({ file_id }) => file_id) ?? [spec.training_file];
  return resolveConfig({
    request,
    baseName: spec.model,
    base,
    rows: epochDraws(mix, files.map(rowsOf)),
    mix,
    validates: true,
    seed: cell.seed,
    templateDate,
  });
}

/** Names the refused key of a run as the experiment does. */
function inExperiment<T>({ settings }: ExperimentArm, at: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof AppError) || error.param === null) throw error;
    const isOfArm = /^(adapter|data_mix)\b/.test(error.param);
    const [key = '', inner = ''] = error.param.split('.');
    const own = settings?.[key as keyof typeof settings];
    const isOwn = own !== undefined && (key !== 'optimizer' || inner in (own as object));
    const param = isOwn
      ? `arms[${at}].settings.${error.param}`
      : isOfArm
        ? `arms[${at}].${error.param}`
        : `fixed.${error.param.replace('hyperparameters.', '')}`;
    const message = error.message.replace(`'${error.param}'`, `'${param}'`);
    throw new AppError(error.code, message, { param, hint: error.hint ?? undefined, cause: error });
  }
}

const automaticRate = (spec: ExperimentSpec, adapter: MethodConfig, base: ModelShape): number =>
  twoDigits(learningRateAuto(adapter, base.hiddenSize) * OPTIMIZERS[spec.fixed.optimizer?.type ?? 'adamw'].rate);

function searchOf(spec: ExperimentSpec, arm: ExperimentArm, automatic: number, param: string): ArmSearch {
  const own = arm.learning_rates;
  const search = Array.isArray(own) ? ({ type: 'grid', learning_rates: own } as const) : (own ?? spec.search);
  const place = own ? param : 'search';
  if ((search.type === 'random' || search.type === 'asha') && search.min >= search.max)
    throw invalid(place, `from ${search.min} to ${search.max}`, 'Give a min below the max.');
  if (search.type === 'asha') return { ...search, rungs: rungsIn(spec, search, place) };
  return search.type === 'bracket' ? { ...search, start: search.start ?? automatic } : search;
}

/** @throws AppError where the number of steps is not known, or there is no step to stop at before the last. */
function rungsIn(
  { fixed: { max_steps: steps } }: ExperimentSpec,
  search: Parameters<typeof rungsOf>[0],
  param: string,
): number[] {
  if (steps === undefined)
    throw invalid(
      'fixed.max_steps',
      'not given',
      "A search of the type 'asha' stops runs at shares of their steps: give max_steps in place of n_epochs.",
    );
  const rungs = rungsOf(search, steps);
  if (rungs.length < 2)
    throw invalid(
      `${param}.min_steps`,
      `${search.min_steps ?? 1}, but the rung below the last of ${steps} steps is at step ${Math.round(steps / search.eta)}`,
      'Take a smaller one, a smaller eta, or more steps.',
    );
  return rungs;
}

/** The arm of a name, as it was asked for. */
function armOf(spec: ExperimentSpec, name: string): ExperimentArm | undefined {
  return spec.arms[nameArms(spec.arms).findIndex((arm) => arm.name === name)];
}

function replayShareOf(mix: RunConfig['data_mix']): number | null {
  const sum = (files: NonNullable<RunConfig['data_mix']>): number => files.reduce((a, { weight }) => a + weight, 0);
  const source = mix?.filter(({ role }) => role === 'source') ?? [];
  return mix === undefined || source.length === 0 ? null : sum(source) / sum(mix);
}

/** What an arm has of its own, and the others have not, must be what the question asks about. */
function checkOwn(
  { arms, varies }: ExperimentSpec,
  key: 'data_mix' | 'settings',
  factor: 'data' | 'settings',
  what: string,
) {
  const at = arms.findIndex((arm) => arm[key] !== undefined);
  if (at < 0 || varies.includes(factor)) return;
  throw new AppError('invalid_value', `'arms[${at}].${key}' gives an arm ${what} than the others have.`, {
    param: `arms[${at}].${key}`,
    hint: `Add '${factor}' to varies where that is the question, or give ${key === 'data_mix' ? key : 'them in fixed'} for all arms.`,
  });
}

/** What makes arms incomparable whatever their runs do. */
function warningsOf({ varies, seeds }: ExperimentSpec, arms: readonly PlannedArm[]): string[] {
  const compared = arms.map(({ name, method, trainableParameters, rates }) => {
    return { name, method, trainableParameters, learningRate: rates[0] ?? 0, runs: [] };
  });
  const counts = notComparable(compared, { varies }).filter(({ factor }) => factor === 'trainable_parameters');
  const narrow = arms.filter(({ search }) => search.type === 'grid' && firstRates(search).length < 3);
  return [
    ...counts.map(({ sentence }) => sentence),
    ...narrow.map(
      ({ name, rates }) =>
        `${name} tries ${rates.length === 1 ? 'one rate' : 'two rates'}, so its best cannot have a worse neighbour on both sides`,
    ),
    ...(new Set(seeds.final).size < 2 ? ['one seed says nothing of how much chance there is in its figure'] : []),
  ];
}
