import type { Batch, BatchShape } from '@moraine/contract';
import type { Session } from '@moraine/engine';
import { checkTokens, feedBatch, type Supervised, shapeFor, supervised } from './batch.js';
import { evaluateName } from './program.js';

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
  /** Mean KL(p_base ‖ q) over the supervised tokens, nats, where the model is compared with its base. */
  klToBase?: number;
}

/** Cross entropy (nats) and most likely token at every supervised position of a batch, in `supervised`'s order. */
export interface TokenScores {
  losses: Float32Array;
  best: Int32Array;
  /** KL(p_base ‖ q) in nats, where the model is compared with its base. */
  divergences?: Float32Array;
}

/**
 * Scores one batch through the evaluation signature of the smallest shape that holds it. `targets` says which tokens are scored and where:
 * absent, the supervised ones. Several may be scored at one position.
 */
export function scoreBatch(
  session: Session,
  batch: Batch,
  {
    shapes,
    vocabSize,
    targets = supervised(batch),
  }: { shapes: readonly BatchShape[]; vocabSize: number; targets?: Supervised | undefined },
): TokenScores {
  checkTokens(batch, vocabSize);
  const shape = shapeFor(batch, shapes);
  const { losses, best, divergences } = session.run(evaluateName(shape), feedBatch(batch, shape, targets));
  const count = targets.positions.length;
  return {
    losses: Float32Array.from(losses ?? []).subarray(0, count),
    best: Int32Array.from(best ?? []).subarray(0, count),
    ...(divergences === undefined ? {} : { divergences: Float32Array.from(divergences).subarray(0, count) }),
  };
}

/**
 * Scores batches in one teacher-forced pass each and yields to the event loop in between. Exact match equals greedy decoding that
 * starts after the prompt: as long as all tokens before are the most likely ones, both see the same context. A row is a document:
 * packed documents of one row count apart.
 */
export async function evaluate<B extends Batch>(
  score: (batch: B) => TokenScores,
  batches: Iterable<B>,
): Promise<Evaluation> {
  const total = { loss: 0, correct: 0, exact: 0, tokens: 0, rows: 0, divergence: 0 };
  let isCompared = false;
  for (const batch of batches) {
    const { positions, targets } = supervised(batch);
    if (positions.length === 0) continue;
    const { losses, best, divergences } = score(batch);
    isCompared ||= divergences !== undefined;
    const wrong = new Set<string>();
    const rows = new Set<string>();
    for (const [i, position] of positions.entries()) {
      const row = `${Math.floor(position / batch.time)}/${batch.segments[position]}`;
      rows.add(row);
      total.loss += losses[i] ?? Number.NaN;
      total.divergence += divergences?.[i] ?? Number.NaN;
      if (best[i] === targets[i]) total.correct += 1;
      else wrong.add(row);
    }
    total.tokens += positions.length;
    total.rows += rows.size;
    total.exact += rows.size - wrong.size;
    await new Promise(setImmediate);
  }
  return {
    loss: total.loss / total.tokens,
    tokenAccuracy: total.correct / total.tokens,
    exactMatch: total.exact / total.rows,
    supervisedTokens: total.tokens,
    rows: total.rows,
    ...(isCompared ? { klToBase: total.divergence / total.tokens } : {}),
  };
}
