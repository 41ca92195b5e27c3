import { rm } from 'node:fs/promises';
import { AppError, type ModelObject, refuseBaseName } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { type FetchOptions, fetchBase, openHub, parseHubSource } from '@moraine/data/hub';
import { hubAddress } from './env.js';
import { type ProgressLine, progressLine } from './progress-line.js';
import { sendBase } from './register-base.js';
import { bytes, duration, print, printError } from './terminal.js';

/**
 * Downloads a model of a hub (HF_ENDPOINT, HF_TOKEN) into `dir` and registers it as a folder is. A second try goes on where the first one
 * stopped; the files are removed once the base is registered.
 * @throws AppError before anything is fetched where the name is taken or the model is none
 */
export async function registerFromHub(client: Client, name: string, text: string, dir: string): Promise<ModelObject> {
  const source = parseHubSource(text);
  refuseBaseName(name);
  await refuseTaken(client, name);
  const line = progressLine();
  const onWait = (reason: string, waitMs: number): void => {
    line.clear();
    print(waitMs > 0 ? `${reason}; the next try is in ${duration(waitMs / 1000)}.` : `${reason}.`);
  };
  const fetched = await fetchBase(openHub({ ...hubAddress(), onWait }), source, {
    dir,
    onPlan: ({ commit, files, sizeBytes }) =>
      print(`${source.repo} at ${source.revision} is ${commit}: ${files} files, ${bytes(sizeBytes)}.`),
    onProgress: showProgress(line),
  }).finally(() => line.clear());
  print('All of it has arrived; it is checked and registered.');
  try {
    const model = await sendBase(client, name, fetched.files);
    await rm(fetched.dir, { recursive: true, force: true });
    return model;
  } catch (error) {
    printError(`The files stay in ${fetched.dir}.`);
    throw error;
  } finally {
    await fetched.free();
  }
}

async function refuseTaken(client: Client, name: string): Promise<void> {
  const { data } = await client.call('listModels');
  if (!data.some(({ id }) => id === name)) return;
  throw new AppError('conflict', `Another base model is called '${name}'.`, {
    param: 'name',
    hint: 'Take another name; the files of a base never change. `moraine models ls` lists them.',
  });
}

/** Pace and time left count what this command has fetched, not what an earlier one left. */
function showProgress(line: ProgressLine): FetchOptions['onProgress'] {
  const begun = performance.now();
  let before: number | null = null;
  return ({ file, bytes: done, sizeBytes }) => {
    before ??= done;
    const pace = (1000 * (done - before)) / (performance.now() - begun);
    const left = pace > 0 ? `, ${bytes(pace)}/s, ${duration((sizeBytes - done) / pace)} left` : '';
    line.show(`${file}: ${bytes(done)} of ${bytes(sizeBytes)}${left}`, file);
  };
}
