import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { IGNORED } from '@moraine/contract';
import { readExact } from '../../packages/data/src/exact-json.js';
import { labelRow } from '../../packages/data/src/label-row.js';
import { parseRow } from '../../packages/data/src/parse-row.js';
import { loadTokenizer, type TextTokenizer } from '../../packages/data/src/tokenizer.js';
import { DAY, TEMPLATES } from './generate.js';

/** What becomes of a conversation: ids and mask of each row, and what is said of them, or why it is refused. */
export type Outcome = { rows: [ids: number[], mask: number[]][]; notes?: string[] } | { refused: string };

/** The tokenizers of the folders that `writeBases` made, by template. */
export async function loadBases(folder: string): Promise<(name: string) => TextTokenizer> {
  const day = new Date(DAY);
  const loaded = TEMPLATES.map(async ({ name }) => [name, await loadTokenizer(join(folder, name), day)] as const);
  const byName = new Map(await Promise.all(loaded));
  return (name) => {
    const found = byName.get(name);
    if (found === undefined) throw new Error(`no template ${name}`);
    return found;
  };
}

/** Reads a line of a file and labels it as training does. */
export function outcomeOf(line: string, tokenizer: TextTokenizer): Outcome {
  const read = parseRow(JSON.parse(line), { exact: readExact(line).value });
  if ('problem' in read) return { refused: read.problem.message };
  try {
    const rows = [...labelRow(read.row, tokenizer)];
    const notes = rows.flatMap((row) => [...row.notes]);
    return { rows: rows.map(({ ids, labels }) => [ids, labels.map((label) => Number(label !== IGNORED))]), notes };
  } catch (error) {
    return { refused: error instanceof Error ? error.message : String(error) };
  }
}

/** Eight letters for an outcome; every refusal is the same, whatever its words. */
export function hashOf(outcome: Outcome): string {
  if ('refused' in outcome) return 'refused';
  return createHash('sha256').update(JSON.stringify(outcome.rows)).digest('hex').slice(0, 8);
}
