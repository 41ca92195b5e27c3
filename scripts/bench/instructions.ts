import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Instruction rows to measure with where no data set may be shipped: words of the example tasks, lengths as in real instruction data.
 * Measured on 2,000 Alpaca rows in Llama tokens: prompts 41 and more (the template alone has 38), logarithm of the rest about
 * 2.7 ± 0.7; answers log-normal, 3.67 ± 1.15, median 50, longest 611.
 */
const ROWS = 1600;
const PROMPT = { least: 38, mean: 2.7, deviation: 0.7, most: 190 };
const ANSWER = { least: 2, mean: 3.67, deviation: 1.15, most: 600 };

const tasks = join(import.meta.dirname, '../../examples/tasks/record-train.jsonl');

/** Writes the rows as JSONL. `tokensOf` counts the tokens of a text. The same seed gives the same file. */
export function writeInstructions(file: string, tokensOf: (text: string) => number, seed = 1): void {
  const words = [...new Set(readFileSync(tasks, 'utf8').match(/[A-Za-z]{2,}/g) ?? [])];
  const random = stream(seed);
  const text = (tokens: number): string => {
    const picked: string[] = [];
    for (let made = 0; made < tokens; ) {
      const word = words[Math.floor(random() * words.length)] ?? '';
      picked.push(word);
      made += tokensOf(` ${word}`);
    }
    return picked.join(' ');
  };
  const length = ({ least, mean, deviation, most }: typeof PROMPT): number =>
    Math.min(most, Math.round(least + Math.exp(mean + deviation * normal(random))));
  const rows = Array.from({ length: ROWS }, () => ({ prompt: text(length(PROMPT)), completion: text(length(ANSWER)) }));
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

function stream(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Box and Muller. */
const normal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
