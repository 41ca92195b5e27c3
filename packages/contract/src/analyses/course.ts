import { z } from 'zod';
import { AnalysisAsk } from '../analysis-keys.js';
import { ExposureSummary, type MemorisationSummary } from './exposure.js';
import type { MeasuredWeight } from './weights.js';

const figure = z.number().nullable();

/** What is drawn of an update, of one layer or as the mean of several; null where none has it. */
export const CourseFigures = z.object({
  rank_90: figure,
  stable_rank: figure,
  /** ‖ΔW‖_F / ‖W0‖_F. */
  relative_norm: figure,
  /** σ₁ of ΔW. */
  largest_singular_value: figure,
  overlap_left: figure,
  overlap_right: figure,
  intruders: figure,
});
export type CourseFigures = z.infer<typeof CourseFigures>;
export type CourseFigure = keyof CourseFigures;

/** Figures at a step, with those of normal numbers of the same norm; their `relative_norm` is the update's. */
const CoursePoint = z.object({ step: z.int(), figures: CourseFigures, control: CourseFigures.nullable() });
export type CoursePoint = z.infer<typeof CoursePoint>;

/** An analysis that a course is drawn from. */
const Measured = z.object({ id: z.string(), step: z.int() });

const COMMON = {
  object: z.literal('analysis.course'),
  run_id: z.string(),
  /** What is measured, the same at every step; null where nothing is. */
  ask: AnalysisAsk.nullable(),
  lambda: z.number().nullable(),
  /** One a step, the latest of each. */
  analyses: z.array(Measured),
  /** Analyses with these settings that have not ended. */
  waiting: z.int(),
  /** Other settings that were measured too: an analysis of each, for `analysis`. */
  others: z.array(z.object({ analysis: z.string(), ask: AnalysisAsk, lambda: z.number(), steps: z.int() })),
};

export const WeightsCourse = z
  .object({
    ...COMMON,
    kind: z.literal('weights'),
    /** Means over the layers of one kind. */
    modules: z.array(z.object({ module: z.string(), layers: z.int(), points: z.array(CoursePoint) })),
    layers: z.array(
      z.object({
        layer: z.string(),
        module: z.string(),
        /** Number of its block; null where it is in none. */
        depth: z.int().nullable(),
        points: z.array(CoursePoint),
      }),
    ),
  })
  .meta({ id: 'WeightsCourse' });
export type WeightsCourse = z.infer<typeof WeightsCourse>;

export const CanariesCourse = z
  .object({
    ...COMMON,
    kind: z.literal('canaries'),
    /** log2 R, the largest exposure there is; null where nothing is measured. */
    ceiling: figure,
    /** Mean exposure of values that were never seen. */
    expected: figure,
    /** Step 0 is the base. */
    points: z.array(z.object({ step: z.int(), planted: ExposureSummary, controls: ExposureSummary.nullable() })),
  })
  .meta({ id: 'CanariesCourse' });
export type CanariesCourse = z.infer<typeof CanariesCourse>;

/** What was measured of a run, over its checkpoints and, of weights, over its layers. */
export const AnalysisCourse = z
  .discriminatedUnion('kind', [WeightsCourse, CanariesCourse])
  .meta({ id: 'AnalysisCourse' });
export type AnalysisCourse = z.infer<typeof AnalysisCourse>;

/** What every course says of its analyses. */
export type CourseHead = Pick<WeightsCourse, 'run_id' | 'ask' | 'lambda' | 'analyses' | 'waiting' | 'others'>;

/** The rows of each step, steps rising, as series: a layer's own, and the means over the layers of a kind. */
export function weightsCourse(
  head: CourseHead,
  steps: readonly { step: number; rows: readonly MeasuredWeight[] }[],
): WeightsCourse {
  const all = steps.flatMap(({ step, rows }) => rows.map((row) => ({ step, row })));
  const layers = grouped(all, ({ row }) => row.layer).map(([layer, of]) => ({
    layer,
    module: of[0]?.row.module ?? '',
    depth: depthOf(layer),
    points: of.map(({ step, row }) => ({ step, ...pointOf(row) })),
  }));
  const modules = grouped(layers, ({ module }) => module).map(([module, of]) => ({
    module,
    layers: of.length,
    points: grouped(
      of.flatMap(({ points }) => points),
      ({ step }) => step,
    )
      .sort(([a], [b]) => a - b)
      .map(([step, points]) => ({
        step,
        figures: meansOf(points.map(({ figures }) => figures)) ?? NONE,
        control: meansOf(points.flatMap(({ control }) => control ?? [])),
      })),
  }));
  return { object: 'analysis.course', kind: 'weights', ...head, modules, layers };
}

/** Exposure at each step, steps rising. */
export function canariesCourse(
  head: CourseHead,
  steps: readonly { step: number; summary: MemorisationSummary }[],
): CanariesCourse {
  const first = steps[0]?.summary;
  return {
    object: 'analysis.course',
    kind: 'canaries',
    ...head,
    ceiling: first?.ceiling ?? null,
    expected: first?.expected ?? null,
    points: steps.map(({ step, summary: { planted, controls } }) => ({ step, planted, controls })),
  };
}

const NONE: CourseFigures = {
  rank_90: null,
  stable_rank: null,
  relative_norm: null,
  largest_singular_value: null,
  overlap_left: null,
  overlap_right: null,
  intruders: null,
};

function pointOf({ norm, relative_norm, control, ...own }: MeasuredWeight): Omit<CoursePoint, 'step'> {
  const figuresOf = ({ rank_90, stable_rank, overlap, intruders }: typeof own | NonNullable<typeof control>) => ({
    rank_90,
    stable_rank,
    relative_norm,
    // By the definition of the stable rank, ‖ΔW‖_F² / σ₁²; the control has the update's norm.
    largest_singular_value: stable_rank === null ? null : norm / Math.sqrt(stable_rank),
    overlap_left: overlap?.left ?? null,
    overlap_right: overlap?.right ?? null,
    intruders,
  });
  return { figures: figuresOf(own), control: control === null ? null : figuresOf(control) };
}

/** The mean of each figure over those that have it; null of nothing. */
function meansOf(all: readonly CourseFigures[]): CourseFigures | null {
  if (all.length === 0) return null;
  const mean = (key: CourseFigure): number | null => {
    const known = all.flatMap((one) => one[key] ?? []);
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
  };
  return Object.fromEntries(COURSE_FIGURES.map((key) => [key, mean(key)])) as CourseFigures;
}

export const COURSE_FIGURES = CourseFigures.keyof().options;

/** `model.layers.3.mlp.up_proj` is in block 3. */
const depthOf = (layer: string): number | null => {
  const [, number] = /\.(\d+)\./.exec(layer) ?? [];
  return number === undefined ? null : Number(number);
};

/** Items by a key, in the order of their first. */
function grouped<T, K>(items: readonly T[], keyOf: (item: T) => K): [K, T[]][] {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return [...groups];
}
