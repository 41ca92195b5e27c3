import { text } from 'node:stream/consumers';
import { TOKENIZER_FILES } from '@moraine/data';
import type { Services } from '../ground/context.js';
import type { BaseModel } from '../ground/generated/models.js';

/** The texts of a base by which it reads text, by name; `read` returns null for a file that is not there. */
export async function tokenizerTexts(read: (name: string) => Promise<string | null>): Promise<Record<string, string>> {
  const texts: Record<string, string> = {};
  for (const name of TOKENIZER_FILES) {
    const found = await read(name);
    if (found !== null) texts[name] = found;
  }
  return texts;
}

/** Those of a registered base. */
export const storedTokenizerTexts = (
  s: Services,
  { blobPrefix }: Pick<BaseModel, 'blobPrefix'>,
): Promise<Record<string, string>> =>
  tokenizerTexts(async (name) => {
    const key = `${blobPrefix}/${name}`;
    return (await s.blobs.size(key)) === null ? null : text(await s.blobs.open(key));
  });
