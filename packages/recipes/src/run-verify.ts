import type { VerifySpec } from '@moraine/contract';
import { checkResume } from './check-resume.js';
import type { Control, Emit } from './control.js';

/** Checks the resume of a run that has ended. Emits what came of it, then `finished`; or `stopped`. */
export async function runVerify(asked: VerifySpec, emit: Emit, control: Control): Promise<void> {
  const { until, recorded, ...spec } = asked;
  const check = await checkResume({ spec: { ...spec, kind: 'train' }, until, recorded }, control);
  const at = { at: Date.now(), step: until.step, trainedTokens: 0 };
  if (check === null) {
    emit({ type: 'stopped', ...at, reason: control.stopRequested() ?? 'drain' });
    return;
  }
  emit({ type: 'verified', at: Date.now(), check });
  emit({ type: 'finished', ...at, resultStep: until.step, stoppedEarly: null, exports: [], resultFile: '' });
}
