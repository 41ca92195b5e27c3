import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TextTokenizer } from '@moraine/data';
import type { OpenAI } from 'openai';
import { describe, expect, test } from 'vitest';

// Every expected number is transformers', of the same weights in float32: scripts/serving/reference.py.
const SCRIPTS = join(import.meta.dirname, '../../../scripts/serving');
const TOLERANCE = 1e-4;

interface Case {
  prompt?: string;
  messages?: OpenAI.ChatCompletionMessageParam[];
}
type Top = [id: number, logprob: number][][];
interface Golden {
  ids: number[];
  logprobs: number[];
  top: Top;
  answer: number[];
  answer_logprobs: number[];
  answer_top: Top;
  ended: boolean;
}

const read = <T>(file: string): T => JSON.parse(readFileSync(file, 'utf8')) as T;
const asked = read<{ tokens: number; listed: number; bases: { base: { cases: Case[] } } }>(join(SCRIPTS, 'cases.json'));
const golden = read<{ base: Golden[] }>(join(import.meta.dirname, 'fixtures/transformers.json')).base;
const cases = asked.bases.base.cases.flatMap((one, i) => {
  const expected = golden[i];
  return expected === undefined ? [] : [{ ...one, number: i + 1, expected }];
});

/** Answers and log-probabilities of 'base' beside those of transformers. */
export function transformersSuite(of: () => { client: OpenAI; tokenizer: TextTokenizer }): void {
  const near = (ours: readonly (number | null | undefined)[], theirs: readonly number[]): void => {
    expect(ours).toHaveLength(theirs.length);
    for (const [i, value] of theirs.entries())
      expect(Math.abs((ours[i] ?? Number.NaN) - value), `place ${i}`).toBeLessThan(TOLERANCE);
  };
  const bytesOf = (ids: readonly number[]): Buffer =>
    Buffer.concat(ids.map((id) => of().tokenizer.bytes(id) ?? new Uint8Array()));

  describe('as transformers', () => {
    test('every case has its numbers, and some answers end by themselves', () => {
      expect(golden).toHaveLength(asked.bases.base.cases.length);
      expect(new Set(golden.map(({ ended }) => ended)).size).toBe(2);
    });

    test.each(cases)(
      'the prompt of case $number is scored token by token, and answered alike',
      async ({ expected }) => {
        const { client, tokenizer } = of();
        const { choices, usage } = await client.completions.create({
          ...{ model: 'base', prompt: expected.ids, echo: true, logprobs: asked.listed, max_tokens: asked.tokens },
          temperature: 0,
        });
        const [choice] = choices;
        const { token_logprobs = [], top_logprobs = [], tokens = [], text_offset = [] } = choice?.logprobs ?? {};
        const ending = expected.ended ? 1 : 0;
        const scored = [...expected.logprobs, ...expected.answer_logprobs];
        expect(token_logprobs[0]).toBe(null);
        near(token_logprobs.slice(1, token_logprobs.length - ending), scored);
        const all = [...expected.ids, ...expected.answer];
        expect(Buffer.from(tokens.slice(0, tokens.length - ending).join(''))).toEqual(bytesOf(all));
        const isSaid = (id: number | undefined) => id !== undefined && !tokenizer.specialIds.has(id);
        const prompt = bytesOf(expected.ids).toString();
        expect(choice?.text).toBe(prompt + bytesOf(expected.answer.filter(isSaid)));
        for (const [i, offset] of text_offset.entries()) {
          const before = tokens.slice(0, i).filter((_, k) => k < expected.ids.length || isSaid(all[k]));
          expect(offset).toBe(before.join('').length);
        }
        expect(choice?.finish_reason).toBe(expected.ended ? 'stop' : 'length');
        expect([usage?.prompt_tokens, usage?.completion_tokens]).toEqual([expected.ids.length, expected.answer.length]);
        for (const [i, list] of [...expected.top, ...expected.answer_top].entries()) {
          const ours = Object.values((top_logprobs as unknown as Record<string, number>[])[i + 1] ?? {}).sort(
            (a, b) => b - a,
          );
          near(
            ours.slice(0, list.length),
            list.map(([, logprob]) => logprob),
          );
        }
        expect(tokenizer.eosIds).not.toContain(expected.answer.at(-1));
      },
    );

    test.each(cases.filter(({ messages }) => messages))(
      'the conversation of case $number has its answer',
      async (one) => {
        const { messages = [], expected } = one;
        const body = { model: 'base', messages, max_tokens: asked.tokens, temperature: 0, logprobs: true };
        const answer = await of().client.chat.completions.create({ ...body, top_logprobs: asked.listed });
        const content = answer.choices[0]?.logprobs?.content ?? [];
        expect(answer.usage?.prompt_tokens).toBe(expected.ids.length);
        near(
          content.map(({ logprob }) => logprob),
          expected.answer_logprobs,
        );
        expect(Buffer.concat(content.map(({ bytes }) => Buffer.from(bytes ?? [])))).toEqual(bytesOf(expected.answer));
        for (const [i, list] of expected.answer_top.entries())
          near(
            content[i]?.top_logprobs.map(({ logprob }) => logprob) ?? [],
            list.map(([, logprob]) => logprob),
          );
      },
    );

    test('a prompt scores alike as text and as tokens, among others and alone, echoed without an answer', async () => {
      const texts = asked.bases.base.cases.flatMap(({ prompt }) => prompt ?? []);
      const body = { model: 'base', echo: true, max_tokens: 0, logprobs: 0 };
      const together = await of().client.completions.create({ ...body, prompt: texts, n: 2 });
      expect(together.choices.map(({ text, finish_reason }) => [text, finish_reason])).toEqual(
        texts.flatMap((text) => [
          [text, 'length'],
          [text, 'length'],
        ]),
      );
      for (const [i, choice] of together.choices.entries()) {
        const expected = golden[Math.floor(i / 2)]?.logprobs ?? [];
        near(choice.logprobs?.token_logprobs?.slice(1) ?? [], expected);
        expect(choice.logprobs?.top_logprobs).toBe(null);
      }
    });
  });
}
