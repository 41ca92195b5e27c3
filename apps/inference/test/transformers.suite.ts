import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadTokenizer, type TextTokenizer } from '@moraine/data';
import { openServed } from '@moraine/recipes';
import { OpenAI } from 'openai';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { createInference } from '../src/index.js';
import { decodeBehind } from '../src/text.js';

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
const asked = read<{
  tokens: number;
  listed: number;
  bases: Record<'base' | 'tinystories', { dir: string; cases: Case[] }>;
}>(join(SCRIPTS, 'cases.json'));
const { base: golden, tinystories } = read<Record<'base' | 'tinystories', Golden[]>>(
  join(import.meta.dirname, 'fixtures/transformers.json'),
);
const cases = asked.bases.base.cases.flatMap((one, i) => {
  const expected = golden[i];
  return expected === undefined ? [] : [{ ...one, number: i + 1, expected }];
});

function near(ours: readonly (number | null | undefined)[], theirs: readonly number[]): void {
  expect(ours).toHaveLength(theirs.length);
  for (const [i, value] of theirs.entries())
    expect(Math.abs((ours[i] ?? Number.NaN) - value), `place ${i}`).toBeLessThan(TOLERANCE);
}

/** Real development data, which is beside the checkout or absent. */
const STORIES = join(SCRIPTS, '../..', asked.bases.tinystories.dir);

const TINYLLAMA = join(SCRIPTS, '../../../shared/data/tokenizers/tinyllama');

/** A base whose tokenizer begins texts with a token and writes spaces before words. */
export function storiesSuite(): void {
  test.runIf(existsSync(TINYLLAMA))(
    'the space before an answer is its own, where a tokenizer drops the first of a text',
    async () => {
      const tokenizer = await loadTokenizer(TINYLLAMA);
      const ids = tokenizer.encode('Tom had a big dog.');
      const behind = ids.length - tokenizer.encode(' dog.').length;
      expect(tokenizer.decode(ids.slice(behind))).toBe('dog.');
      expect(decodeBehind({ tokenizer }, ids.slice(0, behind))(ids.slice(behind))).toBe(' dog.');
      expect(decodeBehind({ tokenizer }, [])(ids)).toBe('Tom had a big dog.');
    },
  );

  test.runIf(existsSync(STORIES))(
    'as transformers, behind a begin token and with spaces that belong to words',
    async () => {
      const served = await openServed({ baseDir: STORIES, baseName: 'base', adapters: [], rows: 2, contextMax: 64 });
      const app = createInference({ served, key: null, log: pino({ level: 'silent' }) });
      try {
        const url = `${await app.listen({ host: '127.0.0.1', port: 0 })}/v1`;
        const client = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 });
        const prompts = asked.bases.tinystories.cases.map(({ prompt = '' }) => prompt);
        const body = { model: 'base', logprobs: 1, max_tokens: asked.tokens, temperature: 0 };
        const { choices } = await client.completions.create({ ...body, prompt: prompts, echo: true });
        const alone = await client.completions.create({ ...body, prompt: tinystories.map(({ ids }) => ids) });
        expect(choices).toHaveLength(tinystories.length);
        for (const [i, { ids, logprobs, answer, answer_logprobs, ended }] of tinystories.entries()) {
          const text = choices[i]?.text ?? '';
          const { token_logprobs = [], tokens = [], text_offset = [] } = choices[i]?.logprobs ?? {};
          near(token_logprobs.slice(1, ids.length + answer.length), [...logprobs, ...answer_logprobs]);
          expect(tokens).toHaveLength(ids.length + answer.length + Number(ended));
          const whole = served.tokenizer.decode([...ids, ...answer], { skipSpecialTokens: true });
          expect(text).toBe(whole);
          expect(text).toBe(`${prompts[i]}${alone.choices[i]?.text}`);
          // Each token is where it says, but for the begin token and the space before the first word.
          expect(text_offset.slice(0, 3)).toEqual([0, 0, (tokens[1] ?? '').trimStart().length]);
          for (let k = 2; k < ids.length + answer.length; k++)
            expect(text.slice(text_offset[k], (text_offset[k] ?? 0) + (tokens[k]?.length ?? 0))).toBe(tokens[k]);
        }
      } finally {
        await app.close();
        served.dispose();
      }
    },
  );
}

/** Answers and log-probabilities of 'base' beside those of transformers. */
export function transformersSuite(of: () => { client: OpenAI; tokenizer: TextTokenizer }): void {
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
