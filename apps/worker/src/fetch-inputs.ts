import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { access, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AppError } from '@moraine/contract';
import type { Job, JobCheckpoint, Services } from '@moraine/services';

export interface Inputs {
  baseDir: string;
  trainingFile: string;
  validationFile: string | null;
  evaluationFiles: { id: string; name: string; path: string }[];
  resume: { step: number; dir: string } | null;
}

/**
 * Brings base, files and the newest whole checkpoint onto this machine: where the store is on this machine they are used in place, else they
 * are kept in `cacheDir` under the hash of their content. `onDamaged` hears of checkpoints that were passed over.
 */
export async function fetchInputs(
  s: Services,
  job: Job,
  cacheDir: string,
  onDamaged: (checkpoint: JobCheckpoint) => void,
): Promise<Inputs> {
  const fileOf = ({ blobKey, sha256 }: { blobKey: string; sha256: string }) =>
    fetchFile(s, blobKey, join(cacheDir, 'files', sha256));
  const evaluationFiles = [];
  for (const file of job.evaluationFiles)
    evaluationFiles.push({ id: file.id, name: file.name, path: await fileOf(file) });
  return {
    baseDir: await fetchFolder(s, job.base.blobPrefix, join(cacheDir, 'bases', job.base.sha256)),
    trainingFile: await fileOf(job.trainingFile),
    validationFile: job.validationFile ? await fileOf(job.validationFile) : null,
    evaluationFiles,
    resume: await fetchCheckpoint(s, job.checkpoints, cacheDir, onDamaged),
  };
}

async function fetchCheckpoint(
  s: Services,
  checkpoints: readonly JobCheckpoint[],
  cacheDir: string,
  onDamaged: (checkpoint: JobCheckpoint) => void,
): Promise<Inputs['resume']> {
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

async function fetchFolder(s: Services, prefix: string, place: string): Promise<string> {
  const here = s.blobs.localPath(prefix);
  if (here !== null) {
    if (await exists(here)) return here;
    throw new AppError('storage', `The stored folder ${prefix} is gone.`, {
      hint: 'Restore the blob storage from a copy, or upload it again.',
    });
  }
  if (await exists(place)) return place;
  const temporary = `${place}.${randomUUID()}`;
  try {
    for (const { path } of await s.blobs.list(prefix)) await download(s, `${prefix}/${path}`, join(temporary, path));
    await settle(temporary, place);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return place;
}

async function fetchFile(s: Services, key: string, place: string): Promise<string> {
  const here = s.blobs.localPath(key);
  if (here !== null) {
    if (await exists(here)) return here;
    throw new AppError('storage', `The stored file ${key} is gone.`, {
      hint: 'Restore the blob storage from a copy, or upload it again.',
    });
  }
  if (await exists(place)) return place;
  const temporary = `${place}.${randomUUID()}`;
  try {
    await download(s, key, temporary);
    await settle(temporary, place);
  } finally {
    await rm(temporary, { force: true });
  }
  return place;
}

async function download(s: Services, key: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await pipeline(await s.blobs.open(key), createWriteStream(path));
}

/** Two workers may fetch the same bytes; the first one to be done wins. */
async function settle(temporary: string, place: string): Promise<void> {
  await mkdir(dirname(place), { recursive: true });
  await rename(temporary, place).catch(async (error: unknown) => {
    if (!(await exists(place))) throw error;
  });
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
