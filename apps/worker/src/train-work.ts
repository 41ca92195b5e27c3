import { type Claim, cancelAttempt, recordEvent, type Services, startAttempt } from '@moraine/services';
import { fetchTrainInputs } from './train-inputs.js';
import { trainSink } from './train-sink.js';
import type { Work } from './work.js';

/** A claimed run: fetch its inputs, rewind to its newest checkpoint, train, store what training says. */
export function trainWork(s: Services, { token, job }: Pick<Extract<Claim, { kind: 'train' }>, 'token' | 'job'>): Work {
  return {
    async prepare({ cacheDir, outDir, threads, log, persist }) {
      const { resume, ...inputs } = await fetchTrainInputs(s, job, cacheDir, ({ step }) => {
        const message = `The files of the checkpoint at step ${step} are damaged or gone; an older one is used`;
        log.error({ step }, message);
        recordEvent(s, token, { level: 'warn', message }).catch(() => undefined);
      });
      const startStep = resume?.step ?? 0;
      await persist(() => startAttempt(s, token, { startStep }));
      log.info({ startStep }, 'the inputs are on this machine');
      const { taskId, attempt } = token;
      const { config } = job;
      const resumeFrom = resume?.dir ?? null;
      return {
        kind: 'train',
        taskId,
        attempt,
        config,
        baseName: job.base.name,
        ...inputs,
        outDir,
        resumeFrom,
        holdAt: job.holdStep,
        validatesAt: job.rungs,
        threads,
      };
    },
    sink: (live, onWish) => trainSink({ s, token, config: job.config, live, onWish }),
    cancel: (at) => cancelAttempt(s, token, at),
  };
}
