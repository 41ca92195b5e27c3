import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSuite } from '@moraine/data';
import type { OpenModel } from '@moraine/recipes';
import { encodePair } from '../../packages/recipes/src/evaluate/encode-pair.js';
import type { ComparedTask } from './shared-items.js';

/**
 * The task without the rows that neither side scores on this base: a choice that is no token of its own, as where a tokenizer makes one token of it
 * and the context's end. lm_eval stops at them with an assertion, ours names them and asks to leave them out. Rows and items are one to one.
 */
export async function scorableRows(
  task: ComparedTask,
  { tokenizer, config: { maxPositions } }: OpenModel,
  work: string,
): Promise<{ task: ComparedTask; leftOut: number }> {
  const { items } = await readSuite({ suite: task.suite, file: task.file });
  const rows = readFileSync(task.file, 'utf8').trim().split('\n');
  if (rows.length !== items.length) throw new Error(`${task.file} has ${rows.length} rows and ${items.length} items.`);
  const kept = rows.filter((_, i) => {
    const asked = items[i]?.task;
    if (asked?.kind !== 'choice') return true;
    return asked.contexts.every((context, k) => {
      try {
        encodePair(context, asked.continuations[k] ?? '', { tokenizer, maxPositions });
        return true;
      } catch {
        return false;
      }
    });
  });
  const file = join(work, `scorable-${task.name}.jsonl`);
  writeFileSync(file, `${kept.join('\n')}\n`);
  return { task: { ...task, file }, leftOut: rows.length - kept.length };
}
