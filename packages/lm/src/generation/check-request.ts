import { AppError } from '@moraine/contract';
import type { GenerateOptions } from './options.js';

/** @throws AppError `invalid_value` naming the prompt and what is wrong with it. */
export function checkPrompts(
  prompts: readonly (readonly number[])[],
  { vocabSize, promptMax }: { vocabSize: number; promptMax: number },
): void {
  for (const [index, prompt] of prompts.entries()) {
    const bad = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    const problem =
      prompt.length === 0
        ? 'is empty'
        : prompt.length > promptMax
          ? `has ${prompt.length} tokens, ${promptMax} fit`
          : bad !== undefined
            ? `holds the id ${bad}, the vocabulary has ${vocabSize}`
            : null;
    if (problem === null) continue;
    throw new AppError('invalid_value', `Prompt ${index} ${problem}.`, {
      param: `prompts[${index}]`,
      hint: 'A prompt is at least one token and shorter than the context.',
    });
  }
}

/** @throws AppError `invalid_value` naming the option. */
export function checkOptions(options: GenerateOptions, prompts: number): void {
  const {
    maxNewTokens,
    temperature = 0,
    topP = 1,
    topK = 0,
    logprobs = 0,
    seed = 0,
    stop = [],
    streams,
    decode,
  } = options;
  const isCount = (value: number) => Number.isInteger(value) && value >= 0;
  refuse(!isCount(maxNewTokens), 'maxNewTokens', maxNewTokens, 'a whole number from 0 on');
  refuse(!(temperature >= 0 && temperature < Number.POSITIVE_INFINITY), 'temperature', temperature, '0 or more');
  refuse(!(topP >= 0 && topP <= 1), 'topP', topP, 'from 0 to 1');
  refuse(!isCount(topK), 'topK', topK, 'a whole number, 0 for all');
  refuse(!isCount(logprobs), 'logprobs', logprobs, 'a whole number from 0 on');
  refuse(!Number.isInteger(seed), 'seed', seed, 'a whole number');
  refuse(
    streams !== undefined && streams.length !== prompts,
    'streams',
    `${streams?.length} long`,
    'one for each prompt',
  );
  refuse(stop.includes(''), 'stop', "''", 'not empty');
  refuse(stop.length > 0 && decode === undefined, 'stop', stop.join(', '), 'given together with decode');
}

function refuse(isBad: boolean, param: string, value: number | string, rule: string): void {
  if (!isBad) return;
  throw new AppError('invalid_value', `${param} is ${value}; it must be ${rule}.`, { param });
}
