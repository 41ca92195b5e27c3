import { loadTf, type Tensor } from '@moraine/engine';

/** A label that is not scored. */
export const IGNORED = -100;

/** One micro-batch on the host: rows of token ids side by side, padded to one length. All arrays hold B*T numbers, row by row. */
export interface Batch {
  /** Rows. */
  batch: number;
  /** Tokens a row. */
  time: number;
  ids: Int32Array;
  /** The id itself where the token is to be learned, -100 where not (Hugging Face's convention: not shifted). */
  labels: Int32Array;
  /** Document numbers; attention and targets stay inside equal numbers. Absent: each row is one document. */
  segments?: Int32Array | undefined;
}

/** Where the loss is taken: flat positions whose *next* token is supervised. */
export interface Supervised {
  /** Flat position b*T + t that predicts. */
  positions: Int32Array;
  /** Id of the token after it. */
  targets: Int32Array;
}

/** The supervised positions of a batch. A document's first token is never a target: nothing of its document comes before it. */
export function supervised({ batch, time, labels, segments }: Batch): Supervised {
  const positions: number[] = [];
  const targets: number[] = [];
  for (let row = 0; row < batch; row++) {
    for (let t = 0; t + 1 < time; t++) {
      const at = row * time + t;
      const label = labels[at + 1] ?? IGNORED;
      if (label < 0) continue;
      if (segments !== undefined && segments[at] !== segments[at + 1]) continue;
      positions.push(at);
      targets.push(label);
    }
  }
  return { positions: Int32Array.from(positions), targets: Int32Array.from(targets) };
}

/** A batch as tensors, with the supervised positions padded by weight 0 to a multiple, so that few shapes occur. */
export interface BatchTensors {
  ids: Tensor; // int32 [B, T]
  segments?: Tensor; // int32 [B, T]
  positions: Tensor; // int32 [S]
  targets: Tensor; // int32 [S]
  weights: Tensor; // [S], 1 or 0
}

const POSITIONS_MULTIPLE = 64;

/** Uploads a batch; the caller disposes of the result (or calls inside a tidy). */
export function batchTensors(batch: Batch, { positions, targets }: Supervised): BatchTensors {
  const tf = loadTf();
  const count = Math.max(1, Math.ceil(positions.length / POSITIONS_MULTIPLE)) * POSITIONS_MULTIPLE;
  const padded = (values: Int32Array) => {
    const all = new Int32Array(count);
    all.set(values);
    return tf.tensor1d(all, 'int32');
  };
  const shape: [number, number] = [batch.batch, batch.time];
  const tensors: BatchTensors = {
    ids: tf.tensor2d(batch.ids, shape, 'int32'),
    positions: padded(positions),
    targets: padded(targets),
    weights: tf.tensor1d(new Float32Array(count).fill(1, 0, positions.length)),
  };
  if (batch.segments !== undefined) tensors.segments = tf.tensor2d(batch.segments, shape, 'int32');
  return tensors;
}
