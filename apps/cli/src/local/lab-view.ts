import type { MeasuredWeight, WeightRow, WeightSummary } from '@moraine/contract/analyses';
import { type Column, table } from '../terminal.js';

const number = (value: number | null | undefined, digits: number): string => value?.toFixed(digits) ?? '–';
/** A figure, and the control's in brackets. */
const beside = (own: number | null, control: number | null | undefined, digits: number): string =>
  control === undefined || control === null
    ? number(own, digits)
    : `${number(own, digits)} (${number(control, digits)})`;

const right = (title: string): Column => ({ title, align: 'right' });
const FIGURES: Column[] = ['‖ΔW‖/‖W0‖', 'rank 90', 'stable rank', 'overlap out', 'overlap in', 'intruders'].map(right);

/** One source, a line a layer. */
export const layerTable = (rows: readonly MeasuredWeight[]): string =>
  table(
    [{ title: 'layer' }, right('shape'), ...FIGURES],
    rows.map((row) => [
      row.layer.replace(/^model\./, ''),
      row.shape.join(' × '),
      number(row.relative_norm, 5),
      beside(row.rank_90, row.control?.rank_90, 0),
      beside(row.stable_rank, row.control?.stable_rank, 1),
      beside(row.overlap?.left ?? null, row.control?.overlap?.left, 2),
      beside(row.overlap?.right ?? null, row.control?.overlap?.right, 2),
      beside(row.intruders, row.control?.intruders, 0),
    ]),
  );

/** Means over layers, a line for each source and kind of layer. */
export const summaryTable = (summaries: readonly WeightSummary[]): string =>
  table(
    [{ title: 'source' }, { title: 'module' }, right('layers'), ...FIGURES],
    summaries.map((row) => [
      row.source,
      row.module,
      String(row.layers),
      number(row.relative_norm, 5),
      beside(row.rank_90, row.control?.rank_90, 1),
      beside(row.stable_rank, row.control?.stable_rank, 1),
      beside(row.overlap_left, row.control?.overlap_left, 2),
      beside(row.overlap_right, row.control?.overlap_right, 2),
      beside(row.intruders, row.control?.intruders, 1),
    ]),
  );

/** Mean number of intruders at each ε. */
export const curveTable = (summaries: readonly WeightSummary[]): string => {
  const [first] = summaries;
  return table(
    [
      { title: 'source' },
      { title: 'module' },
      ...(first?.intruder_curve ?? []).map(({ epsilon }) => right(`ε ${epsilon}`)),
    ],
    summaries.map(({ source, module, intruder_curve, control }) => [
      source,
      module,
      ...intruder_curve.map(({ intruders }, i) => beside(intruders, control?.intruder_curve[i]?.intruders, 1)),
    ]),
  );
};

const COLUMNS: Record<string, (row: WeightRow) => string | number | null | undefined> = {
  source: ({ source }) => source,
  step: ({ step }) => step,
  layer: ({ layer }) => layer,
  module: ({ module }) => module,
  out: ({ shape }) => shape[0],
  in: ({ shape }) => shape[1],
  lambda: ({ lambda }) => lambda,
  from: ({ from }) => from,
  norm: ({ norm }) => norm,
  relative_norm: ({ relative_norm }) => relative_norm,
  rank_90: ({ rank_90 }) => rank_90,
  stable_rank: ({ stable_rank }) => stable_rank,
  overlap_k: ({ overlap }) => overlap?.k,
  overlap_left: ({ overlap }) => overlap?.left,
  overlap_right: ({ overlap }) => overlap?.right,
  epsilon: ({ epsilon }) => epsilon,
  intruders: ({ intruders }) => intruders,
  control_rank_90: ({ control }) => control?.rank_90,
  control_stable_rank: ({ control }) => control?.stable_rank,
  control_overlap_left: ({ control }) => control?.overlap?.left,
  control_overlap_right: ({ control }) => control?.overlap?.right,
  control_intruders: ({ control }) => control?.intruders,
};

const cell = (value: string | number | null | undefined): string => {
  const words = String(value ?? '');
  return /[",\n]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
};

/** Every row, a line each under their names; empty where there is no figure. */
export const weightsCsv = (rows: readonly WeightRow[]): string =>
  [
    Object.keys(COLUMNS).join(','),
    ...rows.map((row) =>
      Object.values(COLUMNS)
        .map((of) => cell(of(row)))
        .join(','),
    ),
  ].join('\n');
