import { AppError } from '@moraine/contract';
import { type Bounds, runAside } from './run-aside.js';

/** The largest vocabularies of today, 262,144 tokens, take 3 s and 700 MB. */
const BOUNDS: Bounds = { seconds: 60, megabytes: 4_096 };

/**
 * Whether a run can use the tokenizer that these texts of a base's files make (`loadBaseTokenizer`), found in a thread of its own: loading
 * a vocabulary of 50,000 tokens takes half a second.
 * @throws AppError `invalid_base` as the run would.
 */
export async function checkTokenizerAside(
  files: Readonly<Record<string, string>>,
  vocabSize: number,
  bounds: Bounds = BOUNDS,
): Promise<void> {
  try {
    await runAside<null>({ kind: 'check_tokenizer', files, vocabSize }, bounds);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new AppError('invalid_base', `The tokenizer cannot be loaded: it ${cause.message}.`, {
      param: 'tokenizer.json',
      hint: 'Take the files as the model came with them.',
      cause,
    });
  }
}
