import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { judgeGsm8k } from '@moraine/recipes';

const rows = resolve(import.meta.dirname, '../../../shared/data/datasets/gsm8k/test.jsonl');

interface Answer {
  answer: string;
  expected: string;
}

/** How an answer may be written: right, wrong, and with everything that an extraction stumbles over. */
const WRITTEN: readonly ((full: string, number: string) => string)[] = [
  (full) => full,
  (full) => full.replace('#### ', '####'),
  (full) => full.replace(/\n#### .*/, ''),
  (_full, number) => `The answer is ${number}.`,
  (_full, number) => `So it is $${number}`,
  (_full, number) => `#### $${number}`,
  (_full, number) => `#### ${number}.`,
  (_full, number) => `#### ${number}.00`,
  (_full, number) => `#### -${number}`,
  (_full, number) => `#### ${Number(number.replaceAll(',', '')).toLocaleString('en-US')}`,
  (_full, number) => `First 12, then 7, so ${number} in all. #### ${number} and #### 99`,
  (_full, number) => `${number}\n\nQuestion: 5`,
  () => 'No number here.',
  () => '',
  () => '... $ ,',
  (_full, number) => `${number} - 1 = ${Number(number.replaceAll(',', '')) - 1}`,
  (_full, number) => `It is ${number}, or so.`,
  (_full, number) => `#### ${number}\n`,
];

/** Answers of ../shared/data, in every way of writing. */
function answers(): Answer[] {
  if (!existsSync(rows)) return [];
  const read = readFileSync(rows, 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { answer: string }).answer);
  return read.map((expected, i) => {
    const number = expected.split('#### ')[1] ?? '';
    return { expected, answer: WRITTEN[i % WRITTEN.length]?.(expected, number) ?? '' };
  });
}

/** Our figures beside those of lm_eval's filters and metric. */
export function compareFilters(python: string, work: string): { answers: number; right: number; apart: string[] } {
  const all = answers();
  const file = join(work, 'answers.jsonl');
  writeFileSync(file, all.map((answer) => `${JSON.stringify(answer)}\n`).join(''));
  const out = execFileSync(python, [join(import.meta.dirname, 'filters.py'), file], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const theirs = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as [number, number]);
  const apart: string[] = [];
  let right = 0;
  for (const [i, { answer, expected }] of all.entries()) {
    const { exact_match: strict, exact_match_flexible: flexible } = judgeGsm8k(answer, expected);
    if (strict === 1 || flexible === 1) right += 1;
    if (strict !== theirs[i]?.[0] || flexible !== theirs[i]?.[1])
      apart.push(`${JSON.stringify(answer)}: ours ${strict}, ${flexible}; lm_eval ${theirs[i]?.join(', ')}`);
  }
  return { answers: all.length, right, apart };
}
