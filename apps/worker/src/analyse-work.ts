import { join } from 'node:path';
import {
  type AnalyseJob,
  type AttemptToken,
  type Claim,
  cancelAnalysing,
  fetchFile,
  fetchFolder,
  finishAnalysis,
  markAnalysing,
  recordRows,
  type Services,
  startAnalysis,
} from '@moraine/services';
import { eventId } from './attempt-events.js';
import { FETCHING_MS, within } from './within.js';
import type { KindSink, Work } from './work.js';

/** A claimed analysis: fetch its model, measure the rows that are not stored, store each. */
export function analyseWork(
  s: Services,
  { token, job }: Pick<Extract<Claim, { kind: 'analyse' }>, 'token' | 'job'>,
): Work {
  return {
    async prepare({ cacheDir, outDir, threads, log, persist }) {
      const { model, step, lambda, ask, done } = job;
      await persist(() => startAnalysis(s, token, done));
      const inputs = await within(FETCHING_MS, 'Fetching the inputs', fetchInputs(s, job, cacheDir));
      log.info({ done }, 'the inputs are on this machine');
      const { taskId, attempt } = token;
      return { kind: 'analyse', taskId, attempt, ...inputs, model, step, lambda, ask, from: done, outDir, threads };
    },
    sink: () => analyseSink(s, token),
    cancel: () => cancelAnalysing(s, token),
  };
}

async function fetchInputs(s: Services, { base, tuned, file }: AnalyseJob, cacheDir: string) {
  return {
    baseDir: await fetchFolder(s, base.blobPrefix, join(cacheDir, 'bases', base.sha256)),
    tunedDir: tuned && (await fetchFolder(s, tuned.blobPrefix, join(cacheDir, 'adapters', tuned.sha256))),
    file: file && (await fetchFile(s, file.blobKey, join(cacheDir, 'files', file.sha256))),
  };
}

/** Stores what an analysis says; it measures nothing by steps. */
const analyseSink = (s: Services, token: AttemptToken): KindSink => ({
  metrics: async () => undefined,
  async event(event, order) {
    if (event.type === 'analysing') await markAnalysing(s, token, event, eventId(token, order));
    else if (event.type === 'analysis_rows') await recordRows(s, token, event.rows);
  },
  finish: () => finishAnalysis(s, token),
});
