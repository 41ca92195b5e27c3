import { z } from 'zod';

const share = z.number().min(0).max(1);

/** How far two spaces of k directions are the same, of the outputs (left) and the inputs (right): 0 orthogonal, 1 the same. */
const Overlap = z.object({ k: z.int(), left: share, right: share });

/** What is said of an update and of the control beside it. */
const figures = {
  /** The fewest singular values that hold 90 % of the sum of squares. */
  rank_90: z.int(),
  /** ‖ΔW‖_F² / σ₁²; null of no change. */
  stable_rank: z.number().nullable(),
  /** Of ΔW's first k directions with those of the base's weight; null of no change. */
  overlap: Overlap.nullable(),
  /** Of each of the tuned weight's first left singular vectors, the largest |cosine| to any of the base's. */
  cosines: z.array(z.number()),
  /** Cosines below epsilon: directions that the base does not have. */
  intruders: z.int(),
};

/** What the change of one weight is like: a row of an analysis of weights. */
export const WeightRow = z
  .object({
    /** What was analysed: the name of an adapter's or a checkpoint's folder. */
    source: z.string(),
    /** The step of a checkpoint; null where the folder does not say one. */
    step: z.int().nullable(),
    /** The linear layer, as the base names it. */
    layer: z.string(),
    /** The kind of layer: `q_proj`. */
    module: z.string(),
    /** Rows and columns of the weight: outputs, inputs. */
    shape: z.tuple([z.int(), z.int()]),
    /** Share of the update that is applied. */
    lambda: share,
    /** How the singular values were found: from the update's thin factors or from its whole matrix. */
    from: z.enum(['factors', 'matrix']),
    /** ‖ΔW‖_F. */
    norm: z.number(),
    /** ‖ΔW‖_F / ‖W0‖_F; null where the base's weight is zero. */
    relative_norm: z.number().nullable(),
    /** ΔW's, falling. */
    singular_values: z.array(z.number()),
    /** A cosine below it makes an intruder. */
    epsilon: share,
    ...figures,
    /** The same of a matrix of normal numbers with the update's norm; null of no change. */
    control: z.object(figures).nullable(),
  })
  .meta({ id: 'WeightRow' });
export type WeightRow = z.infer<typeof WeightRow>;

/** How many directions are intruders at each ε of 0.1, 0.2 … 0.9. */
export const intruderCurve = (cosines: readonly number[]): { epsilon: number; intruders: number }[] =>
  Array.from({ length: 9 }, (_, i) => (i + 1) / 10).map((epsilon) => ({
    epsilon,
    intruders: intrudersAt(cosines, epsilon),
  }));

export const intrudersAt = (cosines: readonly number[], epsilon: number): number =>
  cosines.filter((cosine) => cosine < epsilon).length;

/** Means of figures over layers; null where none of them has it. */
const means = {
  rank_90: z.number(),
  stable_rank: z.number().nullable(),
  overlap_left: z.number().nullable(),
  overlap_right: z.number().nullable(),
  intruders: z.number(),
  intruder_curve: z.array(z.object({ epsilon: z.number(), intruders: z.number() })),
};

/** Means over the layers of one kind. */
export const WeightSummary = z
  .object({
    source: z.string(),
    step: z.int().nullable(),
    module: z.string(),
    layers: z.int(),
    relative_norm: z.number().nullable(),
    ...means,
    control: z.object(means).nullable(),
  })
  .meta({ id: 'WeightSummary' });
export type WeightSummary = z.infer<typeof WeightSummary>;

/** A row, its singular values left out or not. */
export type MeasuredWeight = Omit<WeightRow, 'singular_values'>;

/** The rows of each source by kind of layer, both in the order of the rows. A mean is of the layers that have the figure; null where none has. */
export function summariseWeights(rows: readonly MeasuredWeight[]): WeightSummary[] {
  const groups = new Map<string, MeasuredWeight[]>();
  for (const row of rows) {
    const key = JSON.stringify([row.source, row.module]);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const sources = [...new Set(rows.map(({ source }) => source))];
  return [...groups.values()].map(summaryOf).sort((a, b) => sources.indexOf(a.source) - sources.indexOf(b.source));
}

function summaryOf(group: MeasuredWeight[]): WeightSummary {
  const [{ source, step, module }] = group as [MeasuredWeight];
  const controls = group.flatMap(({ control }) => control ?? []);
  return {
    source,
    step,
    module,
    layers: group.length,
    relative_norm: meanOf(group.map(({ relative_norm }) => relative_norm)),
    ...meansOf(group),
    intruder_curve: curveOf(group),
    control: controls.length === 0 ? null : { ...meansOf(controls), intruder_curve: curveOf(controls) },
  };
}

type Figures = Pick<WeightRow, keyof typeof figures>;

const meansOf = (rows: readonly Figures[]) => ({
  rank_90: meanOf(rows.map(({ rank_90 }) => rank_90)) ?? 0,
  stable_rank: meanOf(rows.map(({ stable_rank }) => stable_rank)),
  overlap_left: meanOf(rows.map(({ overlap }) => overlap?.left ?? null)),
  overlap_right: meanOf(rows.map(({ overlap }) => overlap?.right ?? null)),
  intruders: meanOf(rows.map(({ intruders }) => intruders)) ?? 0,
});

function curveOf(rows: readonly Figures[]): { epsilon: number; intruders: number }[] {
  const curves = rows.map(({ cosines }) => intruderCurve(cosines));
  return intruderCurve([]).map(({ epsilon }, i) => ({
    epsilon,
    intruders: meanOf(curves.map((curve) => curve[i]?.intruders ?? 0)) ?? 0,
  }));
}

function meanOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}
