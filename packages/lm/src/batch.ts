import { AppError, type Batch, type BatchShape, IGNORED } from '@moraine/contract';
import type { FedTensors, Feed, FeedValue } from '@moraine/engine';

export const shapeName = ({ batch, time }: BatchShape): string => `${batch}x${time}`;

/** Where the loss is taken: flat positions whose *next* token is supervised. */
export interface Supervised {
  /** Flat position b*T + t that predicts. */
  positions: Int32Array;
  /** Id of the token after it. */
  targets: Int32Array;
}

/** The supervised positions of a batch. A document's first token is never a target: nothing of its document comes before it. */
export function supervised({ batch, time, labels, segments }: Batch): Supervised {
  const positions = new Int32Array(batch * time);
  const targets = new Int32Array(batch * time);
  let count = 0;
  for (let row = 0; row < batch; row++) {
    for (let t = 0; t + 1 < time; t++) {
      const at = row * time + t;
      const label = labels[at + 1] ?? IGNORED;
      if (label < 0) continue;
      if (segments[at] !== segments[at + 1]) continue;
      positions[count] = at;
      targets[count] = label;
      count += 1;
    }
  }
  return { positions: positions.subarray(0, count), targets: targets.subarray(0, count) };
}

/**
 * Refuses ids and labels that the vocabulary does not have. TensorFlow does so on a CPU only, and not for every label.
 * @throws AppError `user_data` naming the first.
 */
export function checkTokens({ time, ids, labels }: Batch, vocabSize: number): void {
  const refuse = (name: string, values: Int32Array, isBad: (token: number) => boolean): void => {
    const place = values.findIndex(isBad);
    if (place < 0) return;
    const where = `row ${Math.floor(place / time)}, token ${place % time}`;
    throw new AppError(
      'user_data',
      `The ${name} ${values[place]} (${where}) is not in the vocabulary of ${vocabSize}.`,
      {
        hint: 'Encode the rows with the tokenizer that belongs to the base.',
      },
    );
  };
  refuse('id', ids, (id) => id < 0 || id >= vocabSize);
  refuse('label', labels, (label) => label >= vocabSize);
}

/**
 * What a batch of one shape is fed as: `ids`, `segments`, `positions` int32 [B, T]; `rows` and `targets` int32 [B*T], the flat positions
 * that predict and what, of which the first `count` (int32 scalar) count.
 */
export function batchFeeds({ batch, time }: BatchShape) {
  const grid: Feed = { shape: [batch, time], dtype: 'int32' };
  const list: Feed = { shape: [batch * time], dtype: 'int32' };
  const count: Feed = { shape: [], dtype: 'int32' };
  return { ids: grid, segments: grid, positions: grid, rows: list, targets: list, count };
}

/** The tensors of a fed batch. */
export type FedBatch = FedTensors<ReturnType<typeof batchFeeds>>;

/** For a step that tells roles apart: float32 [B*T], 1 where the position in the same place of `rows` predicts a token of a source row. */
export const sourcesFeed = ({ batch, time }: BatchShape): Feed => ({ shape: [batch * time], dtype: 'float32' });

/** What `sourcesFeed` is fed. */
export function feedSources({ sources }: Batch, shape: BatchShape, { positions }: Supervised): Float32Array {
  const fed = new Float32Array(shape.batch * shape.time);
  for (const [i, position] of positions.entries()) fed[i] = sources?.[position] ?? 0;
  return fed;
}

/** The smallest of the shapes that a batch fits into. @throws AppError `invalid_value` when none is large enough. */
export function shapeFor({ batch, time }: BatchShape, shapes: readonly BatchShape[]): BatchShape {
  let best: BatchShape | undefined;
  for (const shape of shapes) {
    if (shape.batch < batch || shape.time < time) continue;
    if (best === undefined || shape.batch * shape.time < best.batch * best.time) best = shape;
  }
  if (best !== undefined) return best;
  throw new AppError('invalid_value', `A batch of ${batch} rows of ${time} tokens fits none of the traced shapes.`, {
    hint: `There are ${shapes.map(shapeName).join(', ') || 'none'}; name every shape when the program is made.`,
  });
}

/** The feeds of a batch, padded to a shape: padding is a document of its own that nothing looks at. */
export function feedBatch(batch: Batch, shape: BatchShape, learned: Supervised): Record<string, FeedValue> {
  const size = shape.batch * shape.time;
  const rows = new Int32Array(size);
  const targets = new Int32Array(size);
  const widened = shape.time - batch.time;
  for (const [i, position] of learned.positions.entries())
    rows[i] = widened === 0 ? position : position + widened * Math.floor(position / batch.time);
  targets.set(learned.targets);
  return {
    ids: padded(batch, shape, batch.ids, 0),
    segments: padded(batch, shape, batch.segments, -1),
    positions: padded(batch, shape, batch.positions, 0),
    rows,
    targets,
    count: learned.positions.length,
  };
}

function padded(from: BatchShape, to: BatchShape, values: Int32Array, filler: number): Int32Array {
  if (from.batch === to.batch && from.time === to.time) return values;
  const all = new Int32Array(to.batch * to.time).fill(filler);
  for (let row = 0; row < from.batch; row++)
    all.set(values.subarray(row * from.time, (row + 1) * from.time), row * to.time);
  return all;
}
