import type { RunMetrics } from '@moraine/contract';
import { type Bucket, EMPTY_SERIES, type Gap, joinBuckets, limitBuckets, type Series } from './bucket.js';

export interface MetricPoint {
  step: number;
  attempt: number;
  values: Record<string, number>;
  not_finite?: Record<string, Gap['value']>;
}

interface Held {
  every: number;
  points: Bucket[];
  gaps: Gap[];
  newestStep: number;
}

const emptyHeld = (): Held => ({ every: 1, points: [], gaps: [], newestStep: -1 });

/** The metrics of one run in the page: a first load from the database, then points from the stream, each step once. */
export class MetricStore {
  private series = new Map<string, Held>();
  private attempt: number | null = null;
  newestStep = 0;

  constructor(private readonly bucketsMax = 2000) {}

  load(metrics: RunMetrics): void {
    this.series = new Map();
    this.attempt = null;
    this.newestStep = 0;
    for (const { name, every, points, not_finite = [] } of metrics.series) {
      const last = points.at(-1);
      const newestStep = Math.max(
        last ? last.step + (every === 1 ? 0 : last.n - 1) : -1,
        not_finite.at(-1)?.step ?? -1,
      );
      this.series.set(name, { every, points: [...points], gaps: [...not_finite], newestStep });
      this.newestStep = Math.max(this.newestStep, newestStep);
    }
  }

  /** Takes a point in; false where every value of it was known. A step that a newer attempt takes again replaces what came after it. */
  append({ step, attempt, values, not_finite = {} }: MetricPoint): boolean {
    if (this.attempt !== null && attempt < this.attempt) return false;
    if (this.attempt !== null && attempt > this.attempt && step <= this.newestStep) this.rewind(step - 1);
    this.attempt = attempt;
    let isNew = false;
    for (const [name, value] of Object.entries(values)) if (this.put(name, step, value)) isNew = true;
    for (const [name, value] of Object.entries(not_finite)) if (this.mark(name, { step, value })) isNew = true;
    if (isNew) this.newestStep = Math.max(this.newestStep, step);
    return isNew;
  }

  private put(name: string, step: number, value: number): boolean {
    const held = this.series.get(name) ?? emptyHeld();
    if (step <= held.newestStep) return false;
    this.series.set(name, held);
    const point: Bucket = { step, n: 1, mean: value, min: value, max: value, last: value };
    const last = held.points.at(-1);
    if (last && step < last.step + held.every) held.points[held.points.length - 1] = joinBuckets(last, point);
    else
      held.points.push({
        ...point,
        step: last ? last.step + Math.floor((step - last.step) / held.every) * held.every : step,
      });
    held.newestStep = step;
    if (held.points.length > this.bucketsMax) {
      const fitted = limitBuckets(held, this.bucketsMax);
      held.every = fitted.every;
      held.points = [...fitted.points];
    }
    return true;
  }

  private mark(name: string, gap: Gap): boolean {
    const held = this.series.get(name) ?? emptyHeld();
    if (gap.step <= held.newestStep) return false;
    this.series.set(name, held);
    held.gaps.push(gap);
    held.newestStep = gap.step;
    return true;
  }

  /** Forgets every step after `step`. A bucket across the cut goes whole: its part cannot be separated from the rest. */
  rewind(step: number): void {
    this.newestStep = 0;
    for (const held of this.series.values()) {
      held.points = held.points.filter((bucket) => bucket.step + held.every - 1 <= step);
      held.gaps = held.gaps.filter((gap) => gap.step <= step);
      const last = held.points.at(-1);
      held.newestStep = Math.max(last ? last.step + held.every - 1 : -1, held.gaps.at(-1)?.step ?? -1);
      this.newestStep = Math.max(this.newestStep, held.newestStep);
    }
  }

  get(name: string): Series {
    return this.series.get(name) ?? EMPTY_SERIES;
  }

  /** The newest value of a metric; null before the first. */
  last(name: string): number | null {
    return this.get(name).points.at(-1)?.last ?? null;
  }

  /** Whether any series is coarser than a point a step, so that zooming in has more to show. */
  get isCoarse(): boolean {
    return [...this.series.values()].some((held) => held.every > 1);
  }
}
