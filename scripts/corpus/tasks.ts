/**
 * The example task: a JSON record out of a short passage. The base knows who gave what to whom, but has never seen the form.
 * Beside it: closed-book questions and source text, to measure what fine-tuning made the model forget.
 */
import { createRandom } from '@moraine/data';
import { SOURCE_SEED } from './corpus.js';
import { FACT_KINDS, factQuestion, writeDocument } from './documents.js';
import { drawPassage, type Handover } from './passage.js';
import { COMMON_NAMES, NEW_NAMES, RARE_NAMES, RESIDENTS } from './world.js';

/** The seed of the committed files. Any other seed may be used freely while developing, except the next one. */
export const DEVELOPMENT_SEED = 7;
/** Kept for a final check: no choice of the project was ever made by looking at rows of this seed. */
export const RESERVED_SEED = 8_675_309;

export interface TaskRow {
  prompt: string;
  completion: string;
}

export interface TaskFiles {
  train: TaskRow[];
  validation: TaskRow[];
  heldout: TaskRow[];
  newNames: TaskRow[];
  closedBook: TaskRow[];
  source: { text: string }[];
}

export const TASK_SIZE = { train: 3000, validation: 100, heldout: 200, newNames: 200, source: 128 };

export function recordText(event: Handover): string {
  return JSON.stringify({ act: event.act, from: event.from, to: event.to, count: event.count });
}

/**
 * All rows for one seed. Answers and prompts are distinct over all sets, so no held-out row shares either with a training row.
 * Half of the rows use common names (one token), half rare ones (two): without the latter an adapter unlearns to copy
 * the second syllable, and new names fail.
 */
export function generateTask(seed: number, size: typeof TASK_SIZE = TASK_SIZE): TaskFiles {
  const random = createRandom(seed, 1);
  const seen = new Set<string>();
  const drawRows = (count: number, drawNames: () => readonly string[]): TaskRow[] => {
    const rows: TaskRow[] = [];
    while (rows.length < count) {
      const { event, text } = drawPassage(random, drawNames());
      const row = { prompt: `${text}\nRecord?`, completion: recordText(event) };
      if (seen.has(row.completion) || seen.has(row.prompt)) continue;
      seen.add(row.completion).add(row.prompt);
      rows.push(row);
    }
    return rows;
  };
  const knownNames = (): readonly string[] => (random.chance(0.5) ? COMMON_NAMES : RARE_NAMES);
  return {
    train: drawRows(size.train, knownNames),
    validation: drawRows(size.validation, knownNames),
    heldout: drawRows(size.heldout, knownNames),
    newNames: drawRows(size.newNames, () => NEW_NAMES),
    closedBook: RESIDENTS.flatMap((name) =>
      FACT_KINDS.map((kind) => {
        const [prompt, completion] = factQuestion(name, kind, 0);
        return { prompt, completion };
      }),
    ),
    source: Array.from({ length: size.source }, (_, index) => ({ text: writeDocument(SOURCE_SEED, index).text })),
  };
}
