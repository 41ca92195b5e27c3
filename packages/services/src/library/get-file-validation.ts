import { AppError, type FileValidation } from '@moraine/contract';
import type { FileReport } from '@moraine/data';
import { createCache } from '../ground/cache.js';
import type { Actor, Services } from '../ground/context.js';
import { withLocalFile } from '../ground/with-local-file.js';
import { requireFile } from './require-file.js';
import { validatorFor } from './validate-stored-file.js';

/** Problems that are listed. */
const PROBLEMS_MAX = 100;

/** By purpose and hash of the file. */
const reports = createCache<FileReport>(256);

/**
 * Everything that is wrong with a file, up to 100 problems, and the rows that it has twice. The file is read anew, beside the loop, and
 * what was found is kept by the hash of its bytes.
 * @throws AppError `not_found`; `unavailable` where reading takes more than a server may give.
 */
export async function getFileValidation(s: Services, actor: Actor, id: string): Promise<FileValidation> {
  const file = await requireFile(s, actor, id);
  const report = await reports
    .get(`${file.purpose} ${file.sha256}`, () =>
      withLocalFile(s, file.blobKey, (path) => validatorFor(file)(path, PROBLEMS_MAX)),
    )
    .catch((cause: unknown) => {
      if (!(cause instanceof RangeError)) throw cause;
      throw new AppError('unavailable', `The file cannot be read here: that ${cause.message}.`, {
        hint: 'Split it into smaller files.',
        cause,
      });
    });
  return {
    object: 'file.validation',
    file_id: file.id,
    status: file.status as FileValidation['status'],
    format: report.format,
    rows: report.rows,
    characters: report.stats.characters,
    longest_row_characters: report.stats.longestRowCharacters,
    problems: report.errors.map(({ key, ...problem }) => ({ ...problem, pointer: key })),
    is_whole: !report.isPartial,
    duplicates: report.duplicates,
  };
}
