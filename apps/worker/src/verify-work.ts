import { join } from 'node:path';
import { AppError, plainCheck, type ResumeCheck } from '@moraine/contract';
import {
  type AttemptToken,
  type Claim,
  cancelVerification,
  fetchFolder,
  finishVerification,
  type Services,
  startVerification,
} from '@moraine/services';
import { fetchTrainInputs } from './train-inputs.js';
import type { KindSink, Work } from './work.js';

/** A claimed verification: fetch the inputs of its run and two checkpoints, repeat the steps in between, store what came of it. */
export function verifyWork(
  s: Services,
  { token, job }: Pick<Extract<Claim, { kind: 'verify' }>, 'token' | 'job'>,
): Work {
  return {
    async prepare({ cacheDir, outDir, threads, log, persist }) {
      await persist(() => startVerification(s, token));
      const { until, recorded } = job.span;
      const { resume, bestFrom: _, ...inputs } = await fetchTrainInputs(s, job, cacheDir, () => undefined);
      const untilDir = await fetchFolder(s, until.blobKey, join(cacheDir, 'checkpoints', until.sha256));
      if (resume === null)
        throw new AppError('storage', `The files of the checkpoint at step ${job.span.from.step} are damaged or gone.`);
      log.info({ from: resume.step, until: until.step }, 'the inputs are on this machine');
      const { taskId, attempt } = token;
      const common = { taskId, attempt, config: job.config, baseName: job.base.name, ...inputs, outDir, threads };
      const compared = { resumeFrom: resume.dir, until: { step: until.step, dir: untilDir }, recorded };
      return { kind: 'verify', ...common, ...compared };
    },
    sink: () => verifySink(s, token),
    cancel: () => cancelVerification(s, token),
  };
}

/** Stores what came of a verification; it measures nothing of its own. */
function verifySink(s: Services, token: AttemptToken): KindSink {
  let check: ResumeCheck | null = null;
  return {
    metrics: async () => undefined,
    event: async (event) => {
      if (event.type === 'verified') check = event.check;
    },
    finish: () =>
      finishVerification(s, token, check ?? plainCheck('failed', 'The training process did not say what it found.')),
  };
}
