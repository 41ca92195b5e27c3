import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EvaluationItem, SUITES, type Suite, summarise } from '@moraine/contract/suites';
import { type CodeTask, readSuite, type SuiteItem } from '@moraine/data';
import { logitsOf } from '@moraine/lm';
import { beforeAll, describe, expect, it } from 'vitest';
import { judgeProgram } from '../src/evaluate/code.js';
import {
  type EvaluateOptions,
  evaluateItems,
  loadBase,
  type OpenModel,
  openModel,
  readWeight,
  scoreFile,
} from '../src/index.js';
import { requireSandbox } from '../src/sandbox/index.js';
import { METHODS, ofType, runOf, specOf, writeSums, writeTinyBase } from './tiny-base.js';

const hasSandbox = await requireSandbox().then(
  () => true,
  () => false,
);
const base = writeTinyBase();
const dir = mkdtempSync(join(tmpdir(), 'moraine-evaluate-'));
const rowsFile = (name: string, rows: readonly unknown[]): string => {
  const file = join(dir, name);
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return file;
};
const read = (suite: string, rows: readonly unknown[]) =>
  readSuite({ suite, file: rowsFile(`${suite}.jsonl`, rows), fewshot: 0 });

let model: OpenModel;
beforeAll(async () => {
  model = await openModel({ baseDir: base, tunedDir: null, lambda: 1 });
});

/** Everything that is handed on. */
async function evaluate(
  { suite, items }: { suite: Suite; items: readonly SuiteItem[] },
  options: Partial<EvaluateOptions> = {},
): Promise<EvaluationItem[]> {
  const found: EvaluationItem[] = [];
  await evaluateItems({ model, suite, items, ...options }, (item) => void found.push(item));
  return found;
}

/** Log-probability of ids after others by the reference pass: one token a byte, no begin token. */
function logprobOf(context: string, continuation: string): number {
  const { tokenizer, config } = model;
  const whole = tokenizer.encode(context + continuation).slice(-(config.maxPositions + 1));
  const count = tokenizer.encode(continuation).length;
  const opened = loadBase(base);
  const { data } = logitsOf({ config, weightOf: (name) => readWeight(opened, name) }, [whole.slice(0, -1)]);
  let total = 0;
  for (let at = whole.length - count; at < whole.length; at++) {
    const logits = data.subarray((at - 1) * config.vocabSize, at * config.vocabSize);
    const max = Math.max(...logits);
    total +=
      (logits[whole[at] as number] as number) - max - Math.log(logits.reduce((sum, z) => sum + Math.exp(z - max), 0));
  }
  return total;
}

const QUESTIONS = Array.from({ length: 9 }, (_, i) => ({
  query: `${'Which of them '.repeat(1 + (i % 3))}is it, ${i}?`,
  choices: ['a', 'two words', 'ä€'].slice(0, 2 + (i % 2)),
  gold: i % 2,
}));

describe('questions with choices', () => {
  it('after a context of nothing but white space stand behind the begin token, with that space', async () => {
    const request = (context: string, continuation: string) => ({
      doc_id: 1,
      label: 0,
      request: { context, continuation },
    });
    const asked = (context: string) => read('rc_5shot', [request(context, ' a'), request(context, ' b c')]);
    const [[blank], [none]] = [await evaluate(await asked(' ')), await evaluate(await asked(''))];
    const spaced = await read('rc_5shot', [request('', '  a'), request('', '  b c')]);
    expect(blank?.scores).toEqual((await evaluate(spaced))[0]?.scores);
    expect(blank?.scores).not.toEqual(none?.scores);
  });

  it('whose choices are equal have every figure all the same, the first of them is preferred', async () => {
    const rows = [
      { query: 'Which?', choices: ['a b', 'a b'], gold: 0 },
      { query: 'Which?', choices: ['é', 'é'], gold: 1 },
    ];
    const items = await evaluate(await read('choices', rows));
    expect(items.map(({ metrics }) => metrics)).toEqual([1, 0].map((is) => ({ acc: is, acc_norm: is, acc_bytes: is })));
    const { metrics } = summarise('choices', items);
    expect(metrics.acc_norm).toMatchObject({ value: 0.5, chance: 0.5 });
    const ended = { ctx_a: 'It', ctx_b: 'ends', activity_label: 'End', endings: ['so.', 'so.'], label: '0' };
    expect((await evaluate(await read('hellaswag', [ended])))[0]).toMatchObject({
      verdict: 'right',
      metrics: { acc_norm: 1 },
    });
  });

  it('are scored by the log-probability of each choice after its context', async () => {
    const items = await evaluate(await read('choices', QUESTIONS));
    expect(items.map(({ index }) => index)).toEqual(QUESTIONS.map((_, i) => i));
    for (const [i, { query, choices, gold }] of QUESTIONS.entries()) {
      const scores = choices.map((choice) => logprobOf(query, ` ${choice}`));
      const { scores: found = [], metrics, answer, verdict } = items[i] as EvaluationItem;
      for (const [c, score] of scores.entries()) expect(found[c]).toBeCloseTo(score, 3);
      const best = (by: (choice: string) => number) => {
        const divided = scores.map((score, c) => score / by(choices[c] as string));
        return divided.indexOf(Math.max(...divided)) === gold ? 1 : 0;
      };
      expect(metrics).toEqual({
        acc: best(() => 1),
        acc_norm: best((choice) => [...choice].length),
        acc_bytes: best((choice) => Buffer.byteLength(choice)),
      });
      expect(verdict).toBe(metrics.acc === 1 ? 'right' : 'wrong');
      expect(choices).toContain(answer);
    }
  });

  it('spaces that end a context belong to the choice, and what is too long loses its beginning', async () => {
    const long = `${'0123456789'.repeat(9)} then  `;
    const [item] = await evaluate(await read('choices', [{ query: long, choices: ['x', 'why'], gold: 0 }]));
    const kept = long.trimEnd();
    expect(item?.scores?.[1]).toBeCloseTo(logprobOf(kept, `${long.slice(kept.length)} why`), 3);
  });

  it('have the same scores to the bit alone and among others, from whichever item scoring goes on', async () => {
    const { suite, items } = await read('choices', QUESTIONS);
    const all = await evaluate({ suite, items });
    expect(await evaluate({ suite, items }, { from: 4 })).toEqual(all.slice(4));
    const backwards = [...items].reverse();
    const turned = await evaluate({ suite, items: backwards });
    expect([...turned].reverse()).toEqual(all);
  });

  it('that differ in their last token alone are scored in one pass', async () => {
    let passes = 0;
    const { suite, items } = await read('mmlu', [{ question: 'Q?', choices: ['1', '2', '3'], answer: 0 }]);
    const [item] = await evaluate({ suite, items }, { onPass: () => (passes += 1) });
    const prompt = 'Q?\nA. 1\nB. 2\nC. 3\nAnswer:';
    for (const [i, letter] of ['A', 'B', 'C'].entries())
      expect(item?.scores?.[i]).toBeCloseTo(logprobOf(prompt, ` ${letter}`), 3);
    expect(passes).toBe(1);
  });

  it('a choice longer than the context is refused by its item', async () => {
    const rows = [{ query: 'Q', choices: ['a', 'b'.repeat(80)], gold: 0 }];
    await expect(evaluate(await read('choices', rows))).rejects.toMatchObject({
      code: 'user_data',
      message: expect.stringMatching(
        /^Item 1: A choice cannot be scored: .* has 81 tokens of its own, the base reads 64\.$/,
      ),
    });
  });

  it('stop between batches when they are asked to', async () => {
    const { suite, items } = await read('choices', QUESTIONS);
    const found: EvaluationItem[] = [];
    const end = await evaluateItems({ model, suite, items, isStopped: () => true }, (item) => void found.push(item));
    expect([end, found]).toEqual(['stopped', []]);
    expect(await evaluateItems({ model, suite, items, from: items.length }, () => undefined)).toBe('done');
  });
});

describe('plain rows', () => {
  const file = writeSums(dir, 'sums.jsonl', 12);

  it('have the loss that a file is scored with, and bytes of the text alone', async () => {
    const asked = await readSuite({ suite: 'file', file });
    const summary = summarise('file', await evaluate(asked));
    const score = await scoreFile({ baseDir: base, adapterDir: null, file, mode: 'plain' });
    expect(summary.n).toBe(12);
    expect(summary.metrics.nats_per_token?.value).toBeCloseTo(score.natsPerSupervisedToken, 5);
    expect(summary.metrics.token_accuracy?.value).toBeCloseTo(score.tokenAccuracy, 9);
    const [item] = await evaluate(asked);
    expect(item?.metrics).toMatchObject({ tokens: 2, bytes: 1, exact_match: expect.any(Number) });
    expect(item?.metrics.text_nats).toBeLessThan(item?.metrics.nats as number);
  });

  it('of text alone have no right and wrong', async () => {
    const [item] = await evaluate(await read('file', [{ text: 'Grüße' }]));
    expect(item).toMatchObject({ verdict: null, metrics: { bytes: 6 } }); // nothing is before the first token
    const [cut] = await evaluate(await read('file', [{ text: '日本' }])); // its first byte
    expect(cut?.metrics.bytes).toBe(5);
    expect(item?.metrics).not.toHaveProperty('exact_match');
  });
});

describe('answers', () => {
  it('are written greedily, end at a stop and are judged; the same alone and among others', async () => {
    const rows = ['1+1=', 'What is it?', '2'].map((prompt) => ({ prompt, expected: 'no such answer' }));
    const { suite, items } = await read('answers', rows);
    const all = await evaluate({ suite, items });
    expect(all.map(({ verdict, metrics }) => [verdict, metrics])).toEqual(Array(3).fill(['wrong', { exact_match: 0 }]));
    const answered = rows
      .map((row, i) => ({ ...row, expected: all[i]?.answer ?? '' }))
      .filter(({ expected }) => expected.trim());
    const again = await evaluate(await read('answers', answered));
    expect(again.every(({ verdict }) => verdict === 'right')).toBe(true);
    expect((await evaluate({ suite, items }, { from: 2 }))[0]).toEqual(all[2]);
  });

  it('are drawn as often as asked, each the same for its seed, item and number, from whichever item it goes on', async () => {
    const rows = ['1+1=', 'What is it?', '2', '3'].map((prompt) => ({ prompt, expected: 'no such answer' }));
    const { suite, items } = await read('answers', rows);
    const sampling = { samples: 9, temperature: 1.5, top_p: 0.95, seed: 3, ks: [1, 9] };
    const draw = (patch: Partial<typeof sampling>, from = 0) =>
      evaluate({ suite, items }, { from, sampling: { ...sampling, ...patch } });
    const all = await draw({});
    expect(all.map(({ metrics }) => metrics)).toEqual(
      all.map(({ samples = [] }) => {
        const unique = new Set(samples.map(({ answer }) => answer.trim())).size;
        return { exact_match: 0, 'pass@1': 0, 'pass@9': 0, unique_answers: unique };
      }),
    );
    expect(all.map(({ samples }) => samples?.length)).toEqual([9, 9, 9, 9]);
    expect(all[0]?.metrics.unique_answers).toBeGreaterThan(1);
    expect(await draw({}, 3)).toEqual(all.slice(3));
    const told = (found: readonly EvaluationItem[]) => found.map(({ samples }) => samples?.map(({ answer }) => answer));
    // Another number of samples puts them into other groups, and leaves the first ones what they are.
    expect(told(await draw({ samples: 2, ks: [1] }))).toEqual(told(all).map((answers) => answers?.slice(0, 2)));
    expect(told(await draw({ samples: 2, ks: [1], seed: 4 }))).not.toEqual(told(all).map((a) => a?.slice(0, 2)));
  });

  it('of programs are run with their tests in the sandbox, or refused where there is none', async () => {
    const row = { task_id: 't/0', prompt: 'def f():\n', test: 'def check(f): pass', entry_point: 'f' };
    const { suite, items } = await read('humaneval', [row]);
    if (!hasSandbox) {
      await expect(evaluate({ suite, items })).rejects.toMatchObject({ code: 'runtime_missing' });
      return;
    }
    const [item] = await evaluate({ suite, items });
    // Random weights write no Python, whatever its tests want.
    expect(item).toMatchObject({ id: 't/0', verdict: 'wrong', metrics: { 'pass@1': 0 }, answer: expect.any(String) });
  });
});

describe.runIf(hasSandbox)('a program', () => {
  const task: CodeTask = {
    kind: 'code',
    context: '',
    stops: [],
    tokensMax: 1,
    test: 'def check(candidate):\n    assert candidate(2, 3) == 5\n    assert candidate(-1, 1) == 0',
    entryPoint: 'add',
    solution: '    return a + b\n',
  };
  const item = { index: 0, id: '0', prompt: 'def add(a, b):\n', task };

  it.each([
    ['the solution', task.solution, 1],
    ['nothing', '', 0],
    ['one that is off by one', '    return a + b + 1\n', 0],
    ['one that ends before its tests', '    pass\nimport sys\nsys.exit(0)\n', 0],
  ])('%s: %s', async (_name, answer, passed) => {
    expect(await judgeProgram(item, task, answer)).toMatchObject({
      metrics: { 'pass@1': passed },
      verdict: passed === 1 ? 'right' : 'wrong',
    });
  });
});

describe('what was trained', () => {
  const file = writeSums(dir, 'train.jsonl', 24);
  const lossOf = async (tunedDir: string, lambda = 1): Promise<number | undefined> => {
    const opened = await openModel({ baseDir: base, tunedDir, lambda });
    const items = await evaluate(await readSuite({ suite: 'file', file }), { model: opened });
    return summarise('file', items).metrics.nats_per_token?.value;
  };

  it.each(['lora', 'full'] as const)(
    '%s: its checkpoint and its result are evaluated, lambda 0 is the base',
    async (name) => {
      const spec = specOf(base, file, METHODS[name] as (typeof METHODS)[string]);
      const checkpoint = ofType(await runOf(spec), 'checkpoint').find(({ step }) => step === 10)?.dir ?? '';
      const plain = summarise('file', await evaluate(await readSuite({ suite: 'file', file }))).metrics.nats_per_token
        ?.value;
      const [none, half, whole] = [
        await lossOf(checkpoint, 0),
        await lossOf(checkpoint, 0.5),
        await lossOf(checkpoint),
      ];
      expect(none).toBe(plain);
      expect(half).toBeLessThan(none as number);
      expect(whole).toBeLessThan(half as number);
      const result = join(spec.outDir, 'exports', name === 'full' ? 'merged' : 'adapter');
      expect(await lossOf(result)).toBeLessThan(half as number);
      expect(await lossOf(result, 0)).toBe(plain);
      // A `local train` leaves its parts and its run.json in one folder.
      const run = mkdtempSync(join(tmpdir(), 'moraine-run-'));
      cpSync(join(spec.outDir, 'exports'), run, { recursive: true });
      writeFileSync(join(run, 'run.json'), '{}');
      expect(await lossOf(run)).toBe(await lossOf(result));
    },
  );
});

it('every suite that is scored by its choices has chance levels', () => {
  for (const { evaluator, chance } of SUITES.values()) expect(chance(2) === 0.5).toBe(evaluator === 'choice');
});
