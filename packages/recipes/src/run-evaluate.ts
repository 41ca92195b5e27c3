import { createHash } from 'node:crypto';
import type { EvaluateSpec, ReadAs } from '@moraine/contract';
import type { EvaluationItem } from '@moraine/contract/suites';
import { readSuite, type SuiteItems } from '@moraine/data';
import { device } from '@moraine/engine';
import type { Control, Emit } from './control.js';
import { evaluateItems } from './evaluate/evaluate-items.js';
import { openModel } from './evaluate/open-model.js';
import { gather } from './gather.js';

/**
 * Asks a model the items of a suite, from the first one that is not stored. Emits `evaluating`, the scored items in their order, then `finished`; or
 * `stopped` after whole items. Yields to the event loop after every pass.
 * @throws AppError as `readSuite`, `openModel` and `evaluateItems` do.
 */
export async function runEvaluate(spec: EvaluateSpec, emit: Emit, control: Control): Promise<void> {
  const begun = performance.now();
  const { from, threads, baseDir, tunedDir, lambda, sampling, readAs = null } = spec;
  control.progress?.('encoding');
  const asked = await readSuite(spec);
  const { suite, items, fewshot } = asked;
  const total = items.length;
  const onReady = (): void => {
    const { kind, name, tensorflow } = device();
    const secondsToReady = (performance.now() - begun) / 1000;
    const where = { kind, name, tensorflow, threads };
    const items = { from, total, itemsSha256: hashItems(asked, readAs), fewshot };
    emit({ type: 'evaluating', at: Date.now(), device: where, ...items, secondsToReady });
  };
  control.progress?.('loading');
  const model = await openModel({ baseDir, tunedDir, lambda, day: readAs && new Date(readAs.templateDate) });
  control.progress?.('tracing');
  if (from >= total) onReady();
  const scored = gather<EvaluationItem>((batch) => emit({ type: 'items', at: Date.now(), items: batch }));
  const isStopped = (): boolean => control.stopRequested() !== null;
  const onPass = (): void => control.progress?.('evaluation');
  const end = await evaluateItems(
    { model, suite, items, sampling, readAs, from, isStopped, onPass, onReady },
    scored.add,
  );
  scored.flush();
  const step = from + scored.count();
  const at = { at: Date.now(), step, trainedTokens: 0 };
  if (end === 'stopped') emit({ type: 'stopped', ...at, reason: control.stopRequested() ?? 'drain' });
  else emit({ type: 'finished', ...at, resultStep: step, stoppedEarly: null, exports: [], resultFile: '' });
}

/** Of all that is asked and how it is judged. */
function hashItems({ suite, items }: SuiteItems, readAs: ReadAs | null): string {
  const hash = createHash('sha256').update(suite.name);
  const { maxSeqLen = null, overLength = 'truncate' } = readAs ?? {};
  if (maxSeqLen !== null || overLength !== 'truncate') hash.update(`\n${JSON.stringify([maxSeqLen, overLength])}`);
  for (const { id, prompt, task } of items) hash.update(`\n${JSON.stringify([id, prompt, task])}`);
  return hash.digest('hex');
}
