import { describe, expect, it } from 'vitest';
import { answerPrompts, benchRows } from '../src/index.js';
import { writeSums, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const sums = writeSums(base, 'sums.jsonl', 12);

describe('answers', () => {
  const ask = (patch: Partial<Parameters<typeof answerPrompts>[0]> = {}) =>
    answerPrompts({
      baseDir: base,
      adapterDir: null,
      prompts: ['1+1='],
      mode: 'plain',
      maxNewTokens: 6,
      temperature: 0,
      topP: 1,
      topK: 0,
      seed: 1,
      stop: [],
      isRaw: true,
      ...patch,
    });

  it('come in the order of the prompts, each as if it were asked alone', async () => {
    const prompts = ['1+1=', 'a much longer prompt?', '2'];
    const { answers } = await ask({ prompts });
    expect(answers.map(({ prompt, promptTokens }) => [prompt, promptTokens])).toEqual(
      prompts.map((prompt) => [prompt, prompt.length]),
    );
    for (const answer of answers) {
      const [alone] = (await ask({ prompts: [answer.prompt] })).answers;
      expect(alone).toEqual(answer);
      expect(answer.tokens).toBeLessThanOrEqual(6);
      expect(answer.finishReason).toBe(answer.tokens === 6 ? 'length' : 'stop');
    }
  });

  it('repeat with a seed, and differ with another', async () => {
    const warm = { temperature: 1.5, maxNewTokens: 12 };
    const textOf = async (seed: number) => (await ask({ ...warm, seed })).answers[0]?.text;
    expect(await textOf(1)).toBe(await textOf(1));
    expect(await textOf(2)).not.toBe(await textOf(1));
  });

  it('are refused where a prompt leaves no room, or is empty', async () => {
    await expect(ask({ prompts: ['ok', 'x'.repeat(64)] })).rejects.toMatchObject({
      code: 'invalid_value',
      message: 'Prompt 2 has 64 tokens, the base reads 64.',
      param: 'prompt',
    });
    await expect(ask({ prompts: [''] })).rejects.toMatchObject({ message: 'The prompt is empty.' });
  });
});

describe('the rows of a benchmark', () => {
  const options = { baseDir: base, dataFile: null, batch: 3, seq: 20, seed: 5 };

  it('are random, of one length, inside the vocabulary, and the same for a seed', async () => {
    const { rows, rowsOf } = await benchRows(options);
    expect(rows.map(({ ids }) => ids.length)).toEqual([20, 20, 20]);
    expect(rows.flatMap(({ ids }) => ids).every((id) => id >= 0 && id < 260)).toBe(true);
    expect(rowsOf(1)).toEqual([0, 1, 2]);
    expect((await benchRows(options)).rows).toEqual(rows);
    expect((await benchRows({ ...options, seed: 6 })).rows).not.toEqual(rows);
  });

  it('come from a file in the order of a run, cut to the length', async () => {
    const { rows, rowsOf, padId } = await benchRows({ ...options, dataFile: sums, seq: 5 });
    expect(rows).toHaveLength(12);
    expect(Math.max(...rows.map(({ ids }) => ids.length))).toBe(5);
    expect([1, 2, 3, 4].flatMap((step) => rowsOf(step)).sort((a, b) => a - b)).toEqual([...rows.keys()]);
    expect(padId).toBe(3);
  });

  it('are refused when the base cannot read them', async () => {
    await expect(benchRows({ ...options, seq: 65 })).rejects.toMatchObject({
      message: '--seq is 65, but the base reads at most 64 tokens.',
    });
  });
});
