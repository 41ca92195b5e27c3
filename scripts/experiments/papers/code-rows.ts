/** Program text to go on pre-training with: this repository's own TypeScript, which every clone has. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface TextRow {
  text: string;
}

export interface CodeRows {
  train: TextRow[];
  validation: TextRow[];
  test: TextRow[];
}

/**
 * The sources of a checkout as rows of at most `tokensMax` tokens. A file belongs to one part whole, by the hash of its path (a tenth of the files each to validation and test): no row of
 * a part goes on with one of another. Equal rows are there once.
 */
export function codeRows(root: string, encode: (text: string) => readonly number[], tokensMax: number): CodeRows {
  const tracked = execFileSync('git', ['-C', root, 'ls-files', '-z', 'packages', 'apps'], { encoding: 'utf8' });
  const files = tracked.split('\0').filter((file) => /\/src\/.*\.tsx?$/.test(file));
  const rows: CodeRows = { train: [], validation: [], test: [] };
  const seen = new Set<string>();
  for (const file of files) {
    const part = rows[partOf(file)];
    for (const text of cutRows(readFileSync(join(root, file), 'utf8'), encode, tokensMax)) {
      if (seen.has(text)) continue;
      seen.add(text);
      part.push({ text });
    }
  }
  return rows;
}

function partOf(file: string): keyof CodeRows {
  const tenth = createHash('sha256').update(file).digest().readUInt32BE(0) % 10;
  return tenth === 0 ? 'validation' : tenth === 1 ? 'test' : 'train';
}

/** Cuts a text into rows of whole lines, each as long as `tokensMax` tokens allow. A line that is longer than that is left out. */
export function cutRows(text: string, encode: (text: string) => readonly number[], tokensMax: number): string[] {
  const rows: string[] = [];
  let row = '';
  for (const line of text.split(/(?<=\n)/)) {
    if (encode(row + line).length <= tokensMax) {
      row += line;
      continue;
    }
    if (row.trim() !== '') rows.push(row);
    row = encode(line).length <= tokensMax ? line : '';
  }
  if (row.trim() !== '') rows.push(row);
  return rows;
}
