import type { LlamaConfig } from '@moraine/contract/plan';
import { gatherRows, loadTf, sparseSoftmaxCrossEntropy, type Tensor } from '@moraine/engine';
import { type Batch, batchTensors, supervised } from './batch.js';
import { headLogits, hiddenStates } from './model.js';
import type { Net } from './net.js';

export interface Evaluation {
  /** Mean cross entropy over the supervised tokens, nats. */
  loss: number;
  /** Share of supervised tokens that are the most likely one. */
  tokenAccuracy: number;
  /** Share of rows of which every supervised token, the end token included, is the most likely one. */
  exactMatch: number;
  supervisedTokens: number;
  /** Rows with at least one supervised token. */
  rows: number;
}

/** Logits held at once, in numbers; more positions are scored in turns. */
const LOGITS_MAX = 2 ** 24;

/**
 * Scores batches in one teacher-forced pass each and yields to the event loop in between. Exact match equals greedy decoding that
 * starts after the prompt: as long as all tokens before are the most likely ones, both see the same context.
 */
export async function evaluate(net: Net, config: LlamaConfig, batches: Iterable<Batch>): Promise<Evaluation> {
  const total = { loss: 0, correct: 0, exact: 0, tokens: 0, rows: 0 };
  for (const batch of batches) {
    const { positions, targets } = supervised(batch);
    if (positions.length === 0) continue;
    const { losses, best } = scoreTokens(net, config, batch);
    const wrongRows = new Set<number>();
    const rows = new Set<number>();
    for (const [i, position] of positions.entries()) {
      const row = Math.floor(position / batch.time);
      rows.add(row);
      total.loss += losses[i] ?? Number.NaN;
      if (best[i] === targets[i]) total.correct += 1;
      else wrongRows.add(row);
    }
    total.tokens += positions.length;
    total.rows += rows.size;
    total.exact += rows.size - wrongRows.size;
    await new Promise(setImmediate);
  }
  return {
    loss: total.loss / total.tokens,
    tokenAccuracy: total.correct / total.tokens,
    exactMatch: total.exact / total.rows,
    supervisedTokens: total.tokens,
    rows: total.rows,
  };
}

/** Cross entropy (nats) and most likely token at every supervised position of a batch, in `supervised`'s order. */
export function scoreTokens(net: Net, config: LlamaConfig, batch: Batch): { losses: Float32Array; best: Int32Array } {
  const tf = loadTf();
  const found = supervised(batch);
  const count = found.positions.length;
  const losses = new Float32Array(count);
  const best = new Int32Array(count);
  const chunk = Math.max(1, Math.floor(LOGITS_MAX / config.vocabSize));
  tf.tidy(() => {
    const { ids, segments, positions, targets } = batchTensors(batch, found);
    const hidden = hiddenStates(net, config, { ids, segments });
    for (let first = 0; first < count; first += chunk) {
      const size = Math.min(chunk, count - first);
      const part = (tensor: Tensor) => tf.slice(tensor, [first], [size]);
      tf.tidy(() => {
        const logits = headLogits(net, config, gatherRows(hidden, part(positions))); // [size, V]
        losses.set(sparseSoftmaxCrossEntropy(logits, part(targets)).dataSync(), first);
        best.set(tf.argMax(logits, 1).dataSync(), first);
      });
    }
  });
  return { losses, best };
}
