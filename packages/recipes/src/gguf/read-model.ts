import { loadBaseTokenizer } from '@moraine/data';
import { loadBase, readWeight } from '../base.js';
import type { GgufDtype } from './format.js';
import { ggufFile } from './gguf-file.js';

/** The GGUF of a model in a Hugging Face folder. @param dtype of matrices. @throws AppError as `ggufFile` does. */
export async function ggufOfFolder(
  dir: string,
  name: string,
  dtype: GgufDtype = 'F16',
): Promise<ReturnType<typeof ggufFile>> {
  const base = loadBase(dir);
  const tokenizer = await loadBaseTokenizer(dir, base.config.vocabSize);
  return ggufFile({ name, baseDir: dir, base, tokenizer, dtype, weightOf: (weight) => readWeight(base, weight) });
}
