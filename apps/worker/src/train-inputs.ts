import { join } from 'node:path';
import { fetchFile, fetchFolder, type Job, type JobCheckpoint, type JobFile, type Services } from '@moraine/services';
import { FETCHING_MS, within } from './within.js';

export interface TrainInputs {
  baseDir: string;
  trainingFile: string;
  mixFiles: { id: string; name: string; path: string }[];
  validationFile: string | null;
  evaluationFiles: { id: string; name: string; path: string }[];
  /** The adapter that it starts from; null: a fresh one, or there is a checkpoint to go on from. */
  startFrom: string | null;
  resume: { step: number; dir: string } | null;
  /** The best checkpoint that the one to resume from knows of; null where there is none, or it is gone. */
  bestFrom: string | null;
}

/**
 * Brings base, files and the newest whole checkpoint onto this machine. Where the store is on this machine they are used in place, else
 * they are kept in `cacheDir` under the hash of their content. `onDamaged` is called for each checkpoint that is passed over.
 * @throws AppError `storage` or `not_found` when the bytes of a base or a file are gone, `storage` where nothing comes.
 */
export const fetchTrainInputs = (...given: Parameters<typeof fetchAll>): Promise<TrainInputs> =>
  within(FETCHING_MS, 'Fetching the inputs', fetchAll(...given));

async function fetchAll(
  s: Services,
  job: Job,
  cacheDir: string,
  onDamaged: (checkpoint: JobCheckpoint) => void,
): Promise<TrainInputs> {
  const fileOf = ({ blobKey, sha256 }: { blobKey: string; sha256: string }) =>
    fetchFile(s, blobKey, join(cacheDir, 'files', sha256));
  const named = async (files: readonly JobFile[]) => {
    const fetched = [];
    for (const file of files) fetched.push({ id: file.id, name: file.name, path: await fileOf(file) });
    return fetched;
  };
  const evaluationFiles = await named(job.evaluationFiles);
  const resume = await fetchCheckpoint(s, job.checkpoints, cacheDir, onDamaged);
  return {
    baseDir: await fetchFolder(s, job.base.blobPrefix, join(cacheDir, 'bases', job.base.sha256)),
    trainingFile: await fileOf(job.trainingFile),
    mixFiles: await named(job.mixFiles),
    validationFile: job.validationFile ? await fileOf(job.validationFile) : null,
    evaluationFiles,
    startFrom:
      job.start && !resume
        ? await fetchFolder(s, job.start.blobPrefix, join(cacheDir, 'adapters', job.start.sha256))
        : null,
    resume,
    bestFrom: resume && (await fetchBest(s, job.checkpoints, resume.step, cacheDir)),
  };
}

async function fetchBest(
  s: Services,
  checkpoints: readonly JobCheckpoint[],
  step: number,
  cacheDir: string,
): Promise<string | null> {
  const bestStep = checkpoints.find((one) => one.step === step)?.bestStep;
  const best = checkpoints.filter((one) => one.step === bestStep);
  return (await fetchCheckpoint(s, best, cacheDir, () => undefined))?.dir ?? null;
}

async function fetchCheckpoint(
  s: Services,
  checkpoints: readonly JobCheckpoint[],
  cacheDir: string,
  onDamaged: (checkpoint: JobCheckpoint) => void,
): Promise<TrainInputs['resume']> {
  for (const checkpoint of checkpoints) {
    const files = await s.blobs.list(checkpoint.blobKey);
    const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
    if (files.length > 0 && sizeBytes === checkpoint.sizeBytes) {
      return {
        step: checkpoint.step,
        dir: await fetchFolder(s, checkpoint.blobKey, join(cacheDir, 'checkpoints', checkpoint.sha256)),
      };
    }
    onDamaged(checkpoint);
  }
  return null;
}
