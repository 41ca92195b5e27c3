import { type EvaluationResult, IGNORED } from '@moraine/contract';
import type { TextTokenizer, TrainingRow } from '@moraine/data';
import type { GenerationPlan, Generator } from '@moraine/lm';

/** A sample is cut at twice its expected length and a little; decoding costs a pass a token. */
const NEW_TOKENS_EXTRA = 16;
const NEW_TOKENS_MAX = 256;
/** Prompts are padded to a multiple of this many tokens. */
const LENGTH_MULTIPLE = 16;

/** The rows of a file that samples are drawn from: those with a prompt. */
export function sampleRows(rows: readonly TrainingRow[], count: number): TrainingRow[] {
  return rows.filter(({ promptLength }) => promptLength > 0).slice(0, count);
}

/** The shapes that sampling these rows of some files takes, the rows of a file together; undefined when there are none. */
export function samplePlan(
  files: readonly (readonly TrainingRow[])[],
  maxPositions: number,
): GenerationPlan | undefined {
  const rows = files.flat();
  if (rows.length === 0) return undefined;
  const up = (length: number) => Math.min(maxPositions, Math.ceil(length / LENGTH_MULTIPLE) * LENGTH_MULTIPLE);
  const most = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b), 0);
  const contexts = files.map((file) => most(file.map(({ promptLength }) => promptLength)) + newTokensMax(file));
  return {
    batches: [most(files.map(({ length }) => length))],
    prefillTimes: [up(most(rows.map(({ promptLength }) => promptLength)))],
    contextMax: up(most(contexts)),
  };
}

/** Greedy answers to the prompts of some rows of a file, beside what is there. */
export async function sample(
  generator: Generator,
  tokenizer: TextTokenizer,
  rows: readonly TrainingRow[],
): Promise<EvaluationResult['samples']> {
  const prompts = rows.map(({ ids, promptLength }) => ids.slice(0, promptLength));
  const answers = await generator.generate(prompts, { stopIds: tokenizer.eosIds, maxNewTokens: newTokensMax(rows) });
  const text = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: true });
  return rows.map((row, i) => ({
    prompt: text(prompts[i] ?? []),
    expected: text(firstAnswer(row)),
    generated: text(answers[i]?.ids ?? []),
  }));
}

function newTokensMax(rows: readonly TrainingRow[]): number {
  const longest = rows.reduce((length, row) => Math.max(length, firstAnswer(row).length), 0);
  return Math.min(NEW_TOKENS_MAX, 2 * longest + NEW_TOKENS_EXTRA);
}

/** The supervised tokens that follow the prompt; a conversation may go on after them. */
function firstAnswer({ ids, labels, promptLength }: TrainingRow): number[] {
  const end = labels.indexOf(IGNORED, promptLength);
  return ids.slice(promptLength, end < 0 ? ids.length : end);
}
