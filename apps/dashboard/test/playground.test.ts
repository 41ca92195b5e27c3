import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { type Answer, NO_ANSWER, piecesOf, shadeOf, speedOf, withChunk } from '../src/playground/answer.js';
import { bodyOf, playgroundPath, readAsked, writeAsked } from '../src/playground/columns.js';
import { snippetOf } from '../src/playground/snippets.js';

const chunk = (content: string, ...logprobs: [string, number][]) => ({
  choices: [
    {
      index: 0,
      delta: { content },
      logprobs:
        logprobs.length === 0
          ? null
          : {
              content: logprobs.map(([token, logprob]) => ({ token, logprob, bytes: [], top_logprobs: [] })),
              refusal: null,
            },
      finish_reason: null,
    },
  ],
});

describe('an answer', () => {
  const begun = [chunk(''), chunk('Ne', ['Ne', -1]), chunk('vsa', ['v', -2], ['sa', 0])].reduce<Answer>(
    (answer, one, i) => withChunk(answer, one, 100 * (i + 1)),
    NO_ANSWER,
  );

  it('grows by its chunks; its first token is the first that says something', () => {
    expect(begun).toMatchObject({ text: 'Nevsa', firstTokenMs: 200, lastTokenMs: 300, finishReason: null });
    const ended = withChunk(
      withChunk(begun, { choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: 'length' }] }, 400),
      { choices: [], usage: { prompt_tokens: 5, completion_tokens: 4, total_tokens: 9 } },
      450,
    );
    expect(ended).toMatchObject({ finishReason: 'length', completionTokens: 4, lastTokenMs: 300 });
    // Three tokens after the first, in a tenth of a second.
    expect(speedOf(ended)).toBeCloseTo(30);
    expect(speedOf(begun)).toBeCloseTo(20);
    expect(speedOf(NO_ANSWER)).toBeNull();
  });

  const answer = (text: string, ...tokens: [string, number][]): Answer => ({
    ...NO_ANSWER,
    text,
    tokens: tokens.map(([word, logprob]) => ({ text: word, logprob })),
  });
  it.each([
    [
      answer('ab', ['a', -1], ['b', -2]),
      [
        ['a', -1],
        ['b', -2],
      ],
    ],
    // Text that is held back until its tokens are told, and an end token that has no text in the answer.
    [
      answer('abc', ['a', -1]),
      [
        ['a', -1],
        ['bc', null],
      ],
    ],
    [answer('a', ['a', -1], ['<end>', -3]), [['a', -1]]],
    [answer('ab', ['ab<', -1], ['end>', -3]), [['ab', -1]]],
    // Two tokens of one emoji: neither has a text of its own.
    [answer('🙂', ['\ufffd', -1], ['\ufffd', -2]), [['🙂', null]]],
    // SentencePiece's first word.
    [
      answer('Pers on', [' Pers', -1], [' on', -2]),
      [
        ['Pers', -1],
        [' on', -2],
      ],
    ],
    [answer('plain'), [['plain', null]]],
    [NO_ANSWER, []],
  ])('%# is shaded by its tokens where they are its text', (given, pieces) => {
    expect(piecesOf(given).map(({ text, logprob }) => [text, logprob])).toEqual(pieces);
  });

  it('is shaded the more the less likely a token was', () => {
    expect([null, 0, -1, -2.5, -5, -50].map(shadeOf)).toEqual([0, 0, 0.2, 0.5, 1, 1]);
  });
});

describe('an address', () => {
  it('holds columns, share, seed, temperature and length, and reads back what it wrote', () => {
    const asked = {
      columns: [
        { model: 'tiny', lambda: 1 },
        { model: 'ft:tiny:default:a:1:ckpt-step-2', lambda: 0.25 },
      ],
      temperature: 0.7,
      seed: 9,
      maxTokens: 30,
    };
    expect(readAsked(writeAsked(asked))).toEqual(asked);
    expect(playgroundPath('tiny', 'ft:tiny:x')).toBe('/playground?m=tiny&m=ft%3Atiny%3Ax');
  });

  it.each([
    ['', { columns: [{ model: '', lambda: 1 }], temperature: 0, seed: 1, maxTokens: null }],
    ['m=a~2&t=9&seed=-4&max=x', { columns: [{ model: 'a', lambda: 1 }], temperature: 2, seed: 0, maxTokens: null }],
    ['m=a&m=b&m=c&m=d&m=e', { columns: ['a', 'b', 'c', 'd'].map((model) => ({ model, lambda: 1 })) }],
  ])('%j is taken as far as it makes sense', (text, wanted) => {
    expect(readAsked(new URLSearchParams(text))).toMatchObject(wanted);
  });
});

describe('a question as a program', () => {
  const settings = { temperature: 0.5, seed: 3, maxTokens: 20 };
  const prompt = `It's "so",\nisn't it? $HOME`;
  const body = bodyOf({ model: 'ft:tiny:x', lambda: 0.5 }, settings, ' ', prompt);

  it('sends what the page sends: without a blank system message, with the share where it is not whole', () => {
    expect(body).toEqual({
      model: 'ft:tiny:x',
      messages: [{ role: 'user', content: prompt }],
      temperature: 0.5,
      seed: 3,
      max_tokens: 20,
      lambda: 0.5,
    });
    const whole = bodyOf({ model: 'tiny', lambda: 1 }, settings, 'Be brief.', 'a');
    expect(whole).not.toHaveProperty('lambda');
    // Without a limit of its own an answer has what the context leaves: a small base would refuse any other preset.
    expect(bodyOf({ model: 'tiny', lambda: 1 }, { ...settings, maxTokens: null }, '', 'a')).not.toHaveProperty(
      'max_tokens',
    );
    expect(whole.messages[0]).toEqual({ role: 'system', content: 'Be brief.' });
  });

  it('for curl is one that a shell reads as it was typed', () => {
    const said = snippetOf('curl', body, 'http://here').replace(/^curl /, "printf '%s\\0' ");
    const words = execFileSync('sh', ['-c', said], { env: { OPENAI_API_KEY: 'k' }, encoding: 'utf8' }).split('\0');
    expect(words.slice(0, 3)).toEqual(['http://here/v1/chat/completions', '-H', 'authorization: Bearer k']);
    expect(JSON.parse(words[words.indexOf('-d') + 1] ?? '')).toEqual(body);
  });

  it('for Python is one that Python reads, with our own key apart', () => {
    const said = snippetOf('Python', body, 'http://here');
    const program = said
      .replace('from openai import OpenAI', 'import json')
      .replace(/^client = .*$/m, '')
      .replace('answer = client.chat.completions.create(', 'print(json.dumps(dict(')
      .replace(/^\)$[\s\S]*/m, ')))');
    const { extra_body: extra, ...sent } = JSON.parse(execFileSync('python3', ['-c', program], { encoding: 'utf8' }));
    expect({ ...sent, ...extra }).toEqual(body);
    expect(said).toContain('base_url="http://here/v1"');
  });

  it('for TypeScript is one with the body as it is sent', () => {
    const said = snippetOf('TypeScript', body, 'http://here');
    const written = /const body = (\{[\s\S]*?\n\}) as/.exec(said)?.[1] ?? '';
    expect(JSON.parse(written)).toEqual(body);
  });
});
