import { join } from 'node:path';
import {
  type AttemptToken,
  type Claim,
  cancelEvaluating,
  type EvaluateJob,
  fetchFile,
  fetchFolder,
  finishEvaluation,
  markEvaluating,
  recordItems,
  type Services,
  startEvaluation,
} from '@moraine/services';
import { eventId } from './attempt-events.js';
import { FETCHING_MS, within } from './within.js';
import type { KindSink, Work } from './work.js';

/** A claimed evaluation: fetch its model and its file, ask the items that are not stored, store each. */
export function evaluateWork(
  s: Services,
  { token, job }: Pick<Extract<Claim, { kind: 'evaluate' }>, 'token' | 'job'>,
): Work {
  return {
    async prepare({ cacheDir, outDir, threads, log, persist }) {
      const { lambda, suite, fewshot, limit, seed, sampling, readAs, done } = job;
      await persist(() => startEvaluation(s, token, done));
      const inputs = await within(FETCHING_MS, 'Fetching the inputs', fetchInputs(s, job, cacheDir));
      log.info({ done }, 'the inputs are on this machine');
      const { taskId, attempt } = token;
      const asked = { lambda, suite, fewshot, limit, seed, sampling, readAs, from: done };
      return { kind: 'evaluate', taskId, attempt, ...inputs, ...asked, outDir, threads };
    },
    sink: () => evaluateSink(s, token),
    cancel: () => cancelEvaluating(s, token),
  };
}

async function fetchInputs(s: Services, { base, tuned, file, examplesFile }: EvaluateJob, cacheDir: string) {
  const fileOf = ({ blobKey, sha256 }: EvaluateJob['file']) => fetchFile(s, blobKey, join(cacheDir, 'files', sha256));
  return {
    baseDir: await fetchFolder(s, base.blobPrefix, join(cacheDir, 'bases', base.sha256)),
    tunedDir: tuned && (await fetchFolder(s, tuned.blobPrefix, join(cacheDir, 'adapters', tuned.sha256))),
    file: await fileOf(file),
    examplesFile: examplesFile && (await fileOf(examplesFile)),
  };
}

/** Stores what an evaluation says; it measures nothing by steps. */
const evaluateSink = (s: Services, token: AttemptToken): KindSink => ({
  metrics: async () => undefined,
  async event(event, order) {
    if (event.type === 'evaluating') await markEvaluating(s, token, event, eventId(token, order));
    else if (event.type === 'items') await recordItems(s, token, event.items);
  },
  finish: () => finishEvaluation(s, token),
});
