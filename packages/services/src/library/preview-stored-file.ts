import { AppError, type FilePreview, type PreviewRow } from '@moraine/contract';
import { parseModelConfig } from '@moraine/contract/plan';
import { type Preview, type PreviewOptions, previewAside, type PreviewRow as Read } from '@moraine/data';
import { createCache } from '../ground/cache.js';
import type { Actor, Services } from '../ground/context.js';
import type { BaseModel, FileModel } from '../ground/generated/models.js';
import { withLocalFile } from '../ground/with-local-file.js';
import { requireBase } from './require-base.js';
import { requireFile } from './require-file.js';
import { storedTokenizerTexts } from './tokenizer-texts.js';

/** Lengths are counted for so long; of longer files, those of the beginning. */
const COUNT_MS = 8_000;
const TOKENS_MAX = 4_096;

/** By the hashes of file and base, the question, and the day; where all lengths were counted. */
const previews = createCache<Preview>(32, ({ isPartial }) => !isPartial);

export interface PreviewQuery {
  /** A registered base. */
  model: string;
  /** Lines behind this one. */
  after: number;
  limit: number;
  /** Default: the context of the base. */
  max_seq_len?: number | undefined;
  over_length: 'truncate' | 'drop' | 'error';
}

/**
 * Rows of a file as a run on this base reads them: tokens, what is learned, what is cut or left out; and how long all rows are. Found
 * beside the loop, and kept by the hashes of file and base.
 * @throws AppError `not_found`; `invalid_value` for a length beyond the base's context; `invalid_file` for a file with a bad line.
 */
export async function previewStoredFile(
  s: Services,
  actor: Actor,
  id: string,
  query: PreviewQuery,
): Promise<FilePreview> {
  const file = await requireFile(s, actor, id);
  const base = await requireBase(s, actor, query.model);
  const maxSeqLen = query.max_seq_len ?? base.context;
  if (maxSeqLen > base.context) {
    throw new AppError(
      'invalid_value',
      `max_seq_len is ${maxSeqLen}, the context of ${base.name} is ${base.context}.`,
      {
        param: 'max_seq_len',
        hint: `Take at most ${base.context}.`,
      },
    );
  }
  const options = {
    after: query.after,
    lines: query.limit,
    maxSeqLen,
    // A row that is too long is to be shown, not to end the preview.
    overLength: query.over_length,
    tokensMax: TOKENS_MAX,
    msMax: COUNT_MS,
  };
  const { rows, hasMore, lengths, rowsRead, isPartial } = await read(s, file, base, options);
  return {
    object: 'file.preview',
    file_id: file.id,
    model: base.name,
    max_seq_len: maxSeqLen,
    rows: rows.map(toRow),
    has_more: hasMore,
    lengths,
    rows_read: rowsRead,
    is_whole: !isPartial,
  };
}

/** As a run that is made today would read them. */
function read(s: Services, file: FileModel, base: BaseModel, options: PreviewOptions): Promise<Preview> {
  const day = new Date().toISOString().slice(0, 10);
  return previews.get(JSON.stringify([file.sha256, base.sha256, day, options]), async () => {
    const files = await storedTokenizerTexts(s, base);
    const { vocabSize } = parseModelConfig(base.config);
    try {
      return await withLocalFile(s, file.blobKey, (path) => previewAside({ files, vocabSize, day, path, ...options }));
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new AppError('unavailable', `The rows cannot be shown: reading them ${cause.message}.`, {
        hint: 'Ask for fewer rows.',
        cause,
      });
    }
  });
}

const toRow = ({ tokens, ...row }: Read): PreviewRow => ({
  ...row,
  tokens: tokens.map(({ id, text, isLearned }) => ({ id, text, learned: isLearned })),
});
