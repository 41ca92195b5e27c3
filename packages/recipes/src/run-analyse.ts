import type { AnalyseSpec, AttemptEvent } from '@moraine/contract';
import type { CanaryRow, WeightRow } from '@moraine/contract/analyses';
import { device, invariant } from '@moraine/engine';
import type { Control, Emit } from './control.js';
import { openModel } from './evaluate/open-model.js';
import { gather } from './gather.js';
import { analyseWeights } from './lab/analyse-weights.js';
import { canariesOf, measureCanaries, readCanaries } from './lab/measure-canaries.js';

type Rows = Extract<AttemptEvent, { type: 'analysis_rows' }>['rows'];

/** What a kind of analysis needs to go on. */
interface Measuring {
  /** Told how many rows there are, and how many changed weights have none, before the first is measured. */
  onReady(total: number, others: number): void;
  emit(row: WeightRow | CanaryRow): void;
  isStopped(): boolean;
  onProgress(): void;
}

/**
 * Measures what the update of a model is like or what it memorised, from the first row that is not stored. Emits `analysing`, the rows in their order,
 * then `finished`; or `stopped` after whole rows.
 * @throws AppError as `analyseWeights` and `measureCanaries` do.
 */
export async function runAnalyse(spec: AnalyseSpec, emit: Emit, control: Control): Promise<void> {
  const begun = performance.now();
  const { from, threads, ask } = spec;
  let index = from;
  const gathered = gather<Rows[number]>((rows) => emit({ type: 'analysis_rows', at: Date.now(), rows }));
  control.progress?.('loading');
  const measuring: Measuring = {
    onReady(total, others) {
      const { kind, name, tensorflow } = device();
      const secondsToReady = (performance.now() - begun) / 1000;
      const where = { kind, name, tensorflow, threads };
      emit({ type: 'analysing', at: Date.now(), device: where, from, total, others, secondsToReady });
    },
    emit(row) {
      gathered.add({ index: index++, row });
    },
    isStopped: () => control.stopRequested() !== null,
    onProgress: () => control.progress?.('analysis'),
  };
  const end = ask.kind === 'weights' ? await runWeights(spec, ask, measuring) : await runCanaries(spec, measuring);
  gathered.flush();
  const at = { at: Date.now(), step: index, trainedTokens: 0 };
  if (end === 'stopped') emit({ type: 'stopped', ...at, reason: control.stopRequested() ?? 'drain' });
  else emit({ type: 'finished', ...at, resultStep: index, stoppedEarly: null, exports: [], resultFile: '' });
}

function runWeights(
  { baseDir, tunedDir, model, step, lambda, from }: AnalyseSpec,
  { layers, k, epsilon, seed }: Extract<AnalyseSpec['ask'], { kind: 'weights' }>,
  { onReady, emit, isStopped, onProgress }: Measuring,
): Promise<'done' | 'stopped'> {
  invariant(tunedDir !== null, 'the weights of a base alone are analysed');
  const isWanted = (layer: string): boolean => layers === null || layer.includes(layers);
  return analyseWeights(
    { baseDir, dirs: [tunedDir], lambda, k, epsilon, seed, isWanted, isStopped, from },
    (row) => {
      // Its folder on this machine says nothing to whoever asked.
      emit({ ...row, source: model, step });
      onProgress();
    },
    ({ rows, others }) => {
      onReady(rows, [...others.values()].reduce((sum, count) => sum + count, 0)); // biome-ignore format: one line
      onProgress();
    },
  );
}

async function runCanaries(
  { baseDir, tunedDir, lambda, file, from }: AnalyseSpec,
  { onReady, emit, isStopped, onProgress }: Measuring,
): Promise<'done' | 'stopped'> {
  invariant(file !== null, 'an analysis of canaries has no file');
  const canaries = readCanaries(file);
  const model = await openModel({ baseDir, tunedDir, lambda });
  onReady(canariesOf(canaries).length, 0);
  return measureCanaries({ model, canaries, from, isStopped, onPass: onProgress }, emit);
}
