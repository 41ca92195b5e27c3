import { AppError, type Batch, type BatchShape, IGNORED } from '@moraine/contract';
import { invariant } from '@moraine/engine';
import type { Model } from '@moraine/lm';
import { type Request, type RequestScores, timeOf } from './requests.js';

export interface Scoring {
  model: Model;
  shapes: ReadonlyMap<number, BatchShape>;
  maxPositions: number;
  padId: number;
}

/** The requests in batches of one shape, shortest first. */
export function batchesOf(requests: readonly Request[], { shapes, maxPositions }: Scoring): [BatchShape, Request[]][] {
  const byTime = new Map<number, Request[]>();
  for (const request of requests) {
    const time = timeOf(request.ids.length, maxPositions);
    byTime.set(time, [...(byTime.get(time) ?? []), request]);
  }
  return [...byTime]
    .sort(([a], [b]) => a - b)
    .flatMap(([time, group]) => {
      const shape = shapes.get(time);
      invariant(shape !== undefined, `no shape was made for ${time} tokens`);
      return Array.from({ length: Math.ceil(group.length / shape.batch) }, (_, i): [BatchShape, Request[]] => [
        shape,
        group.slice(i * shape.batch, (i + 1) * shape.batch),
      ]);
    });
}

/** Scores the requests of one batch. @throws AppError `nan_loss`. */
export function scoreBatch(shape: BatchShape, group: readonly Request[], { model, padId }: Scoring): RequestScores[] {
  const batch = batchOf(shape, group, padId);
  const positions = group.flatMap((request, row) => request.positions.map((place) => row * shape.time + place));
  const targets = group.flatMap((request) => request.targets);
  const { losses, best } = model.score(batch, {
    positions: Int32Array.from(positions),
    targets: Int32Array.from(targets),
  });
  let at = 0;
  return group.map((request) => {
    const logprobs = request.targets.map((_, i) => -(losses[at + i] ?? Number.NaN));
    if (!logprobs.every(Number.isFinite)) throw notFinite();
    const isBest = request.targets.map((id, i) => best[at + i] === id);
    at += request.targets.length;
    return { logprobs, isBest };
  });
}

function batchOf({ batch, time }: BatchShape, group: readonly Request[], padId: number): Batch {
  const size = batch * time;
  const ids = new Int32Array(size).fill(padId);
  const segments = new Int32Array(size).fill(-1);
  const positions = new Int32Array(size);
  for (const [row, request] of group.entries()) {
    const at = row * time;
    ids.set(request.ids, at);
    segments.fill(0, at, at + request.ids.length);
    for (let t = 0; t < request.ids.length; t++) positions[at + t] = t;
  }
  return { batch, time, ids, labels: new Int32Array(size).fill(IGNORED), segments, positions };
}

const notFinite = (): AppError =>
  new AppError('nan_loss', 'The model gives log-probabilities that are not numbers.', {
    hint: 'The run that made it diverged: take an earlier checkpoint.',
  });
