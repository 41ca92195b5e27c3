import { describeProblem, type FileProblem, validateAside, validateEvalsAside } from '@moraine/data';
import type { Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import { storable } from '../ground/storable.js';
import { withLocalFile } from '../ground/with-local-file.js';

/** Problems named in `status_details`; all that were found are in `problems`. */
const NAMED = 3;

/**
 * Reads every line of an uploaded file and settles its status. Repeating it is harmless, and a file that was settled meanwhile stays so.
 * A fault of ours also settles it, as `error` with a text that says so: nobody waits for ever.
 */
export async function validateStoredFile(s: Services, id: string): Promise<void> {
  const file = await s.db.file.findUnique({ where: { id } });
  if (file?.status !== 'uploaded' || file.deletedAt !== null) return;
  try {
    const { rows, format, errors } = await withLocalFile(s, file.blobKey, (path) => validatorFor(file)(path));
    const isFine = errors.length === 0;
    const statusDetails = isFine ? null : describeProblems(errors);
    await settle(s, id, {
      status: isFine ? 'processed' : 'error',
      statusDetails,
      rows,
      format,
      problems: errors.map((problem) => ({ ...problem })),
    });
  } catch (cause) {
    if (cause instanceof RangeError)
      return settle(s, id, {
        status: 'error',
        statusDetails: `The file cannot be read here: that ${cause.message}. Write shorter rows, or split the file.`,
      });
    s.log.error({ err: cause, fileId: id }, 'a file could not be validated');
    await settle(s, id, {
      status: 'error',
      statusDetails: 'The file could not be read here; the server log says why. Upload it again.',
    });
  }
}

/** What reads a file to say what is wrong with it: of purpose `evals` it may hold rows of a suite, or canaries. */
export const validatorFor = ({ purpose }: { purpose: string }): typeof validateEvalsAside =>
  purpose === 'evals' ? validateEvalsAside : validateAside;

/** Validates what a process that ended left unsettled; the reconciler calls it when it begins to lead, and now and then. */
export async function resumeFileValidation(s: Services): Promise<void> {
  const left = await s.db.file.findMany({ where: { status: 'uploaded', deletedAt: null }, select: { id: true } });
  for (const { id } of left) await validateStoredFile(s, id);
}

async function settle(s: Services, id: string, verdict: Prisma.FileUpdateManyMutationInput): Promise<void> {
  await s.db.file.updateMany({ where: { id, status: 'uploaded' }, data: storable(verdict) });
}

/** The first three problems in words, and how many more there are. */
function describeProblems(problems: readonly FileProblem[]): string {
  const more = problems.length - NAMED;
  return [
    ...problems.slice(0, NAMED).map(describeProblem),
    ...(more > 0 ? [`… and ${more} more; see 'problems'.`] : []),
  ].join('\n');
}
