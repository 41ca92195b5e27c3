/**
 * `npm run test:tune -- [--budget 5m] [--only NAME]`: `moraine tune` on three tasks, each on a stack of its own: the demo's, one at which the base is perfect already, and one of forty
 * rows. Every process of a stack is killed with SIGKILL once runs have ended; then it is started again, and the same command goes on. Ends with 1 unless each verdict is the right one.
 */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { killAllOf, moraine, moraineJson, removeStack, startUp, type TestStack } from '../../apps/cli/test/stack.js';

const { values } = parseArgs({ options: { budget: { type: 'string', default: '10m' }, only: { type: 'string' } } });
const tasks = resolve(import.meta.dirname, '../../examples/tasks');
const linesOf = (name: string): string[] => readFileSync(join(tasks, name), 'utf8').trimEnd().split('\n');
/** Runs that the kill waits for, of some twenty. */
const ENDED_BEFORE = 2;

interface Task {
  name: string;
  rows: string[];
  decision: 'use' | 'do_not_use';
}

const TASKS: Task[] = [
  { name: 'demo', rows: linesOf('record-train.jsonl'), decision: 'use' },
  {
    name: 'perfect',
    // The base was trained to copy pairs of numbers.
    rows: Array.from({ length: 160 }, (_, i) => {
      const pair = `{${10 + (i % 90)},${10 + ((53 * i + Math.floor(i / 90)) % 90)}}`;
      return JSON.stringify({ prompt: `Copy ${pair}`, completion: pair });
    }),
    decision: 'do_not_use',
  },
  { name: 'forty', rows: linesOf('record-train.jsonl').slice(0, 40), decision: 'use' },
];

async function tuned({ name, rows, decision }: Task): Promise<boolean> {
  const dataDir = mkdtempSync(join(tmpdir(), `moraine tune ${name} `));
  const file = join(dataDir, `${name}.jsonl`);
  writeFileSync(file, `${rows.join('\n')}\n`);
  const words = ['tune', file, '--keep', join(tasks, 'source.jsonl'), '--budget', values.budget, '--data', dataDir];
  let stack: TestStack | undefined;
  const begun = performance.now();
  try {
    stack = await startUp(dataDir);
    const first = moraine(words);
    const { client } = stack;
    const endedCells = async (): Promise<number> => {
      const [newest] = (await client.call('listExperiments', { query: {} })).data;
      if (newest === undefined) return 0;
      const { cells } = await client.call('getExperiment', { params: { id: newest.id } });
      return cells.filter(({ status }) => status === 'succeeded').length;
    };
    while ((await endedCells()) < ENDED_BEFORE) {
      if (first.child.exitCode !== null || first.child.signalCode !== null)
        throw new Error(`tune ended before its second run: ${first.output()}`);
      await sleep(500);
    }
    const killedAt = seconds(begun);
    killAllOf(dataDir);
    await first.ended;
    stack = await startUp(dataDir);
    const verdict = await moraineJson(words);
    const isRight = verdict.decision === decision;
    console.log(
      `${isRight ? 'right' : 'WRONG'}  ${name}: ${rows.length} rows, killed after ${killedAt} s, ${seconds(begun)} s in all`,
    );
    const { status, output } = await stack.cli(...words.slice(0, -2));
    console.log(output.trimEnd(), status === 0 ? '' : `(status ${status})`, '\n');
    return isRight && status === 0;
  } finally {
    await removeStack(dataDir, stack);
  }
}

const seconds = (from: number): number => Math.round((performance.now() - from) / 1_000);

const asked = TASKS.filter(({ name }) => values.only === undefined || values.only === name);
if (asked.length === 0) throw new Error(`--only is none of ${TASKS.map(({ name }) => name).join(', ')}.`);
let isAllRight = true;
for (const task of asked) isAllRight = (await tuned(task)) && isAllRight;
process.exit(isAllRight ? 0 : 1);
