import type { LlamaConfig } from '@moraine/contract/plan';
import { gatherRows, loadTf } from '@moraine/engine';
import { headLogits, hiddenStates } from './model.js';
import type { Net } from './net.js';

export interface GenerateOptions {
  /** Tokens that end an answer; they are not part of it. */
  stopIds: readonly number[];
  maxNewTokens: number;
}

/** Row lengths are padded to a multiple of this, so that few shapes occur. */
const LENGTH_MULTIPLE = 16;

/**
 * Greedy decoding of several prompts at once: the most likely token until a stop token, `maxNewTokens` or the end of the context.
 * Rows stand left-aligned, so padding lies in every query's future and is never seen. Without a cache: every token is a full pass.
 * Prompts as token ids, none empty -> answers as token ids, without the stop token. Yields to the event loop after every token.
 */
export async function generate(
  net: Net,
  config: LlamaConfig,
  prompts: readonly (readonly number[])[],
  { stopIds, maxNewTokens }: GenerateOptions,
): Promise<number[][]> {
  const rows = prompts.map((prompt) => ({
    ids: [...prompt],
    answer: [] as number[],
    isDone: prompt.length >= config.maxPositions,
  }));
  for (let made = 0; made < maxNewTokens; made++) {
    const open = rows.filter(({ isDone }) => !isDone);
    if (open.length === 0) break;
    const next = nextTokens(
      net,
      config,
      open.map(({ ids }) => ids),
    );
    for (const [i, row] of open.entries()) {
      const id = next[i] ?? 0;
      if (stopIds.includes(id)) {
        row.isDone = true;
        continue;
      }
      row.ids.push(id);
      row.answer.push(id);
      row.isDone = row.ids.length >= config.maxPositions;
    }
    await new Promise(setImmediate);
  }
  return rows.map(({ answer }) => answer);
}

/** The most likely token after each row. */
function nextTokens(net: Net, config: LlamaConfig, rows: readonly (readonly number[])[]): Int32Array {
  const tf = loadTf();
  const longest = Math.max(...rows.map((row) => row.length));
  const time = Math.ceil(longest / LENGTH_MULTIPLE) * LENGTH_MULTIPLE;
  const ids = new Int32Array(rows.length * time);
  for (const [i, row] of rows.entries()) ids.set(row, i * time);
  return tf.tidy(() => {
    const hidden = hiddenStates(net, config, { ids: tf.tensor2d(ids, [rows.length, time], 'int32') });
    const last = tf.tensor1d(
      rows.map((row, i) => i * time + row.length - 1),
      'int32',
    );
    return Int32Array.from(tf.argMax(headLogits(net, config, gatherRows(hidden, last)), 1).dataSync());
  });
}
