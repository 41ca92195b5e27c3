import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { BlobStore, Job, JobCheckpoint, JobFile, Services } from '@moraine/services';
import { type TestServices, testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fetchTrainInputs, type TrainInputs } from '../src/train-inputs.js';

let t: TestServices;
let s: Services;
let count = 0;
beforeAll(async () => {
  t = await testServices();
  s = t.services;
});
afterAll(() => t.close());

/** The same store as it looks when it is on another machine; counts what is read from it. */
function remote(): { s: Services; opened: string[] } {
  const opened: string[] = [];
  const open: BlobStore['open'] = (key, range) => {
    opened.push(key);
    return s.blobs.open(key, range);
  };
  return { s: { ...s, blobs: { ...s.blobs, open, localPath: () => null } }, opened };
}

async function storedFile(name: string, text: string): Promise<JobFile> {
  const blobKey = `files/${name}-${++count}`;
  const { sha256 } = await s.blobs.put(blobKey, Readable.from([text]));
  return { id: name, name: `${name}.jsonl`, blobKey, sha256 };
}

async function storedCheckpoint(step: number, bestStep: number | null = null): Promise<JobCheckpoint> {
  const blobKey = `runs/ftjob-${++count}/step-${step}`;
  const { sizeBytes } = await s.blobs.put(`${blobKey}/state.json`, Readable.from([`{"step":${step}}`]));
  return { step, blobKey, sizeBytes, sha256: `checkpoint-${count}`, bestStep };
}

async function jobOf(checkpoints: JobCheckpoint[] = []): Promise<Job> {
  const blobPrefix = `bases/base-${++count}`;
  const { sha256 } = await s.blobs.put(`${blobPrefix}/config.json`, Readable.from(['{}']));
  await s.blobs.put(`${blobPrefix}/nested/tokenizer.json`, Readable.from(['[]']));
  return {
    projectId: 'proj-1',
    config: {} as Job['config'], // not read here
    base: { name: 'tiny', blobPrefix, sha256 },
    start: null,
    holdStep: null,
    rungs: [],
    trainingFile: await storedFile('train', 'rows to train on'),
    mixFiles: [await storedFile('old', 'rows to keep')],
    validationFile: await storedFile('valid', 'rows to validate on'),
    evaluationFiles: [await storedFile('eval-a', 'first'), await storedFile('eval-b', 'second')],
    checkpoints,
  };
}

/** What a fetch brings, and the steps of the checkpoints that it passed over. */
async function fetched(from: Services, job: Job, cacheDir: string): Promise<TrainInputs & { damaged: number[] }> {
  const damaged: number[] = [];
  const inputs = await fetchTrainInputs(from, job, cacheDir, ({ step }) => damaged.push(step));
  return { ...inputs, damaged };
}
const cache = (): string => join(t.blobsDir, '..', `cache-${++count}`);
const textOf = (path: string | null): string => (path === null ? 'none' : readFileSync(path, 'utf8'));

describe('the inputs of a run', () => {
  it('have the adapter that it starts from, until there is a checkpoint to go on from', async () => {
    const blobPrefix = `adapters/adp-${++count}`;
    const { sha256 } = await s.blobs.put(`${blobPrefix}/adapter_config.json`, Readable.from(['{}']));
    const job = { ...(await jobOf()), start: { blobPrefix, sha256 } };
    expect((await fetched(s, job, cache())).startFrom).toBe(s.blobs.localPath(blobPrefix));
    const resumed = { ...job, checkpoints: [await storedCheckpoint(20)] };
    expect((await fetched(s, resumed, cache())).startFrom).toBeNull();
  });

  it('are used in place where the store is on this machine', async () => {
    const job = await jobOf([await storedCheckpoint(20)]);
    const inputs = await fetched(s, job, '/nonexistent/cache');
    expect(inputs).toMatchObject({
      baseDir: s.blobs.localPath(job.base.blobPrefix),
      trainingFile: s.blobs.localPath(job.trainingFile.blobKey),
      resume: { step: 20, dir: s.blobs.localPath(job.checkpoints[0]?.blobKey ?? '') },
    });
  });

  it('are brought here whole, each file in the place of its role', async () => {
    const inputs = await fetched(remote().s, await jobOf([await storedCheckpoint(20)]), cache());
    expect(textOf(inputs.trainingFile)).toBe('rows to train on');
    expect(inputs.mixFiles.map(({ id, name, path }) => [id, name, textOf(path)])).toEqual([
      ['old', 'old.jsonl', 'rows to keep'],
    ]);
    expect(textOf(inputs.validationFile)).toBe('rows to validate on');
    expect(inputs.evaluationFiles.map(({ id, name, path }) => [id, name, textOf(path)])).toEqual([
      ['eval-a', 'eval-a.jsonl', 'first'],
      ['eval-b', 'eval-b.jsonl', 'second'],
    ]);
    expect(textOf(join(inputs.baseDir, 'nested/tokenizer.json'))).toBe('[]');
    expect(textOf(join(inputs.resume?.dir ?? '', 'state.json'))).toBe('{"step":20}');
  });

  it('have the best checkpoint that the one to go on from knows of, where its files are there', async () => {
    const best = await storedCheckpoint(10);
    const bestFrom = async (...checkpoints: JobCheckpoint[]) => {
      const { bestFrom: dir, damaged } = await fetched(remote().s, await jobOf(checkpoints), cache());
      return { state: textOf(dir && join(dir, 'state.json')), damaged };
    };
    const newest = await storedCheckpoint(30, 10);
    expect(await bestFrom(newest, await storedCheckpoint(20), best)).toEqual({ state: '{"step":10}', damaged: [] });
    expect(await bestFrom(await storedCheckpoint(30), best)).toEqual({ state: 'none', damaged: [] });
    expect(await bestFrom(newest, await storedCheckpoint(20))).toEqual({ state: 'none', damaged: [] });
    const broken = { ...newest, sizeBytes: 1 };
    expect(await bestFrom(broken, await storedCheckpoint(20, 10), best)).toEqual({
      state: '{"step":10}',
      damaged: [30],
    });
  });

  it('are kept under the hash of their content: the second fetch reads nothing, also under another key', async () => {
    const [job, away, cacheDir] = [await jobOf(), remote(), cache()];
    const first = await fetched(away.s, job, cacheDir);
    expect(away.opened).toHaveLength(7);
    const copy = await storedFile('copy', 'rows to train on');
    const second = await fetched(away.s, { ...job, trainingFile: copy }, cacheDir);
    expect(away.opened).toHaveLength(7);
    expect(second).toEqual(first);
    expect(readdirSync(join(cacheDir, 'files')).sort()).toEqual(
      [job.trainingFile, ...job.mixFiles, job.validationFile, ...job.evaluationFiles]
        .map((file) => file?.sha256 ?? '')
        .sort(),
    );
  });

  it('are one whole copy when two workers fetch them at once', async () => {
    const [job, cacheDir] = [await jobOf(), cache()];
    const [one, two] = await Promise.all([fetched(remote().s, job, cacheDir), fetched(remote().s, job, cacheDir)]);
    expect(one).toEqual(two);
    expect(readdirSync(join(cacheDir, 'bases'))).toEqual([job.base.sha256]);
    expect(textOf(one.trainingFile)).toBe('rows to train on');
  });

  it.each(['here', 'elsewhere'])('skip a checkpoint that is damaged or gone (store %s)', async (where) => {
    const [gone, damaged, whole, older] = [
      await storedCheckpoint(40),
      await storedCheckpoint(30),
      await storedCheckpoint(20),
      await storedCheckpoint(10),
    ];
    await s.blobs.remove(gone.blobKey);
    writeFileSync(join(s.blobs.localPath(damaged.blobKey) ?? '', 'state.json'), '{"st');
    const job = await jobOf([gone, damaged, whole, older]);
    const inputs = await fetched(where === 'here' ? s : remote().s, job, cache());
    expect(inputs.damaged).toEqual([40, 30]);
    expect(inputs.resume?.step).toBe(20);
    expect(textOf(join(inputs.resume?.dir ?? '', 'state.json'))).toBe('{"step":20}');
  });

  it('begin anew when no checkpoint is whole', async () => {
    const gone = await storedCheckpoint(10);
    await s.blobs.remove(gone.blobKey);
    expect(await fetched(s, await jobOf([gone]), cache())).toMatchObject({ resume: null, damaged: [10] });
  });

  it.each(['here', 'elsewhere'])('that are gone are named (store %s), and nothing half-made is left', async (where) => {
    const [job, cacheDir] = [await jobOf(), cache()];
    const from = where === 'here' ? s : remote().s;
    await s.blobs.remove(job.trainingFile.blobKey);
    await expect(fetched(from, job, cacheDir)).rejects.toThrow(job.trainingFile.blobKey);
    await s.blobs.remove(job.base.blobPrefix);
    await expect(fetched(from, job, cache())).rejects.toMatchObject({
      code: 'storage',
      message: `The stored folder ${job.base.blobPrefix} is gone.`,
    });
    // What came before it is kept for the next try.
    const kept = where === 'elsewhere' ? job.evaluationFiles.map(({ sha256 }) => sha256).sort() : null;
    if (kept) expect(readdirSync(join(cacheDir, 'files')).sort()).toEqual(kept);
  });
});
