import { describe, expect, it } from 'vitest';
import { gradeByProgram } from '../src/evaluate/grade-by-program.js';
import { requireSandbox } from '../src/sandbox/index.js';

const isThere = await requireSandbox().then(
  () => true,
  () => false,
);
const grade = (body: string, answer: string, item = {}, least = 1) =>
  gradeByProgram({ type: 'python', source: `def grade(sample, item):\n    ${body}\n`, item, least }, answer);

describe.skipIf(!isThere)('a python grader', () => {
  it('judges the answer beside the columns of the item, at its threshold', async () => {
    const body = 'return 1.0 if sample["output_text"].strip() == item["want"]["word"] else 0.25';
    const item = { want: { word: 'naïve "yes"\n\u2028\\' } };
    expect(await grade(body, ` ${item.want.word} `, item)).toEqual({
      metrics: { passed: 1, score: 1 },
      verdict: 'right',
    });
    expect(await grade(body, 'no', item)).toEqual({ metrics: { passed: 0, score: 0.25 }, verdict: 'wrong' });
    expect(await grade(body, 'no', item, 0.25)).toMatchObject({ metrics: { passed: 1 }, verdict: 'right' });
  });

  it('reads an answer in JSON, and finds none where there is none', async () => {
    const body =
      'return sample["output_json"]["a"] if sample["output_json"] else len(sample["choices"][0]["message"]["content"]) / 10';
    expect((await grade(body, '{"a": true}')).metrics).toEqual({ passed: 1, score: 1 });
    expect((await grade(body, 'words')).metrics).toEqual({ passed: 0, score: 0.5 });
  });

  it('reads numbers of an answer whole, and its source may hold dataclasses', async () => {
    expect((await grade('return sample["output_json"] == 9007199254740993', '9007199254740993')).metrics.passed).toBe(
      1,
    );
    const source =
      'from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass Mark:\n    value: float\ndef grade(sample, item):\n    return Mark(1.0).value\n';
    expect(await gradeByProgram({ type: 'python', source, item: {}, least: 1 }, 'x')).toMatchObject({
      verdict: 'right',
    });
  });

  it('may print, import and define what it likes', async () => {
    const body = 'import math, json; print("0.5", end=""); return math.floor(1.9)';
    expect((await grade(body, 'x')).metrics).toEqual({ passed: 1, score: 1 });
  });

  it.each([
    ['return item["none"]', "The grader failed: KeyError: 'none'"],
    ['return "high"', "The grader failed: ValueError: could not convert string to float: 'high'"],
    ['return None', /^The grader failed: TypeError: float\(\) argument/],
    ['return float("nan")', 'The grader failed: grade returned no number.'],
    ['raise SystemExit(0)', 'The grader failed: It ended before grade returned.'],
    ['import socket; socket.create_connection(("1.1.1.1", 80), 1)', /^The grader failed: OSError/],
    ['import numpy', "The grader failed: ModuleNotFoundError: No module named 'numpy'"],
  ])('that fails is named and judges nothing: %s', async (body, problem) => {
    const { metrics, verdict, problem: named } = await grade(body, 'x');
    expect({ metrics, verdict }).toEqual({ metrics: { passed: 0 }, verdict: 'wrong' });
    expect(named).toEqual(typeof problem === 'string' ? problem : expect.stringMatching(problem));
  });
});

it.skipIf(isThere)('a python grader without a sandbox is refused', async () => {
  await expect(grade('return 1', 'x')).rejects.toMatchObject({ code: 'runtime_missing' });
});
