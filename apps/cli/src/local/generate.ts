import { existsSync, readFileSync } from 'node:fs';
import { AppError } from '@moraine/contract';
import { type Arguments, type Command, integer, noMoreThan, number, oneOf } from '../args.js';
import { MODE_OPTION, MODES } from '../request-options.js';
import { paint, print } from '../terminal.js';
import { ADAPTER_OPTION, BASE_OPTION, JSON_OPTION, LAMBDA_OPTION, lambdaOf, neededPath, pathOf } from './options.js';

const NEW_TOKENS = 128;

export const generateCommand: Command = {
  name: 'local generate',
  forms: [
    '--base DIR [--adapter DIR [--lambda L]] --prompt TEXT … [--json]',
    '--base DIR [--adapter DIR [--lambda L]] --prompts FILE [--json]',
  ],
  options: {
    base: BASE_OPTION,
    adapter: ADAPTER_OPTION,
    lambda: LAMBDA_OPTION,
    prompt: { type: 'string', value: 'TEXT', help: 'What to answer; may be given several times.' },
    prompts: {
      type: 'string',
      value: 'FILE',
      help: 'Prompts, one a line: JSON rows with the key prompt, or plain text.',
    },
    'max-new-tokens': { type: 'string', value: 'N', help: `Longest answer in tokens; default ${NEW_TOKENS}.` },
    temperature: { type: 'string', value: 'T', help: '0, the default, takes the likeliest token every time.' },
    'top-p': { type: 'string', value: 'P', help: 'Draw from the likeliest tokens that have this share; default 1.' },
    'top-k': { type: 'string', value: 'K', help: 'Draw from so many of the likeliest tokens; default all.' },
    seed: { type: 'string', value: 'N', help: 'Seed of the draws; default 0.' },
    stop: { type: 'string', value: 'TEXT', help: 'An answer ends before this text; may be given several times.' },
    raw: { type: 'boolean', help: 'Leave the base’s chat template out.' },
    mode: MODE_OPTION,
    json: JSON_OPTION,
  },
  run: async (args) => {
    noMoreThan(args, 0, generateCommand);
    const baseDir = neededPath(args, 'base', generateCommand);
    const prompts = promptsOf(args);
    const { answerPrompts } = await import('@moraine/recipes');
    const { answers, seconds, device } = await answerPrompts({
      baseDir,
      adapterDir: pathOf(args, 'adapter') ?? null,
      lambda: lambdaOf(args),
      prompts,
      mode: oneOf(args, 'mode', MODES) ?? 'plain',
      maxNewTokens: integer(args, 'max-new-tokens', 1, 1_000_000) ?? NEW_TOKENS,
      temperature: number(args, 'temperature', 0, 100) ?? 0,
      topP: number(args, 'top-p', 0, 1) ?? 1,
      topK: integer(args, 'top-k', 0, 1_000_000) ?? 0,
      seed: integer(args, 'seed', 0, 2 ** 31 - 1) ?? 0,
      stop: args.repeated.stop ?? [],
      isRaw: args.options.raw === true,
    });
    if (args.options.json) {
      const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0);
      print(
        JSON.stringify({
          answers: answers.map(({ prompt, text, promptTokens, tokens: made, finishReason }) => ({
            prompt,
            text,
            prompt_tokens: promptTokens,
            tokens: made,
            finish_reason: finishReason,
          })),
          seconds: Number(seconds.toFixed(3)),
          tokens_per_second: Number((tokens / seconds).toFixed(2)),
          device,
        }),
      );
      return 0;
    }
    for (const [i, { prompt, text }] of answers.entries()) {
      if (answers.length > 1) print(`${i === 0 ? '' : '\n'}${paint('bold', prompt)}`);
      print(text);
    }
    return 0;
  },
};

/** The prompts of the options and of the file, in that order. */
function promptsOf(args: Arguments): string[] {
  const file = pathOf(args, 'prompts');
  const prompts = [...(args.repeated.prompt ?? []), ...(file === undefined ? [] : promptsIn(file))];
  if (prompts.length > 0) return prompts;
  throw new AppError('invalid_request', 'There is nothing to answer.', {
    hint: 'Write --prompt TEXT, or --prompts FILE with one prompt a line.',
  });
}

function promptsIn(file: string): string[] {
  if (!existsSync(file))
    throw new AppError('not_found', `There is no file ${file}.`, { hint: 'Name a file with one prompt a line.' });
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      if (!line.startsWith('{')) return line;
      try {
        const row: unknown = JSON.parse(line);
        if (typeof row === 'object' && row !== null && 'prompt' in row && typeof row.prompt === 'string')
          return row.prompt;
      } catch {
        // A line that begins with a brace and is no JSON is a prompt like any other.
      }
      return line;
    });
}
