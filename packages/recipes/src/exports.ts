import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type AttemptEvent, type ExportReport, exportFormatOf, type Parity, type TrainSpec } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import {
  type Adapter,
  type AdapterFiles,
  exportAdapter,
  type HostTensor,
  logitsOf,
  type ReadModel,
  type Trainer,
} from '@moraine/lm';
import { type Base, loadBase, readWeight } from './base.js';
import { folderBytes } from './checkpoint.js';
import { addFiles, writeFolder } from './export/files.js';
import { adapterFiles, cardFiles } from './export/make-export.js';
import { createRounded, type MergedWeights, mergedFiles } from './export/merged.js';
import { compareLogits, parityProblem, refuseBadParity } from './export/parity.js';
import { mergedWeights } from './export/result.js';
import { servingNotes } from './export/serving-notes.js';
import { readAdapter } from './read-adapter.js';

export interface Trained {
  spec: TrainSpec;
  base: Base;
  adapter: Adapter | null;
  trainer: Pick<Trainer, 'stateShapes' | 'variables'>;
  /** Tokens on which what is read back is compared with what was trained. */
  rows: readonly (readonly number[])[];
  /** Called before each comparison. */
  onPass?: () => void;
}

export type FinishedExport = Extract<AttemptEvent, { type: 'finished' }>['exports'][number];

/** What all exports of a run are compared with. */
interface Pinned {
  trained: Trained;
  expected: HostTensor;
}

/**
 * What a run produced, each as a finished folder below `parent`, read back and compared with what was trained: the adapter in its own form,
 * the exactly equal one in PEFT's layout where there is one, and after full fine-tuning the model. Base and adapter as one model are compared
 * too and written where the run keeps them; elsewhere they are made when they are asked for.
 * @throws AppError `internal` naming an export that does not compute what was trained, and by how much.
 */
export async function writeExports(parent: string, trained: Trained): Promise<FinishedExport[]> {
  makeFolder(parent);
  const { adapter, trainer } = trained;
  if (adapter === null) return [await wholeExport(parent, trained)];
  const variables = trainer.variables();
  const pinned = { trained, expected: logits(trained, { tuned: { adapter, variables } }) };
  const forms = exportAdapter(trained.base.config, adapter, variables, trained.spec.baseName);
  const exports: FinishedExport[] = [];
  for (const [kind, files] of [
    ['peft', forms.peft],
    ['adapter', forms.native],
  ] as const) {
    if (files === null) continue;
    exports.push(await adapterExport(join(parent, kind), kind, files, pinned));
  }
  const merged = mergedWeights(trained.base, { kind: 'adapter', adapter, variables }, 1);
  exports.push(await mergedExport(parent, merged, pinned));
  return exports;
}

/** A pass over the pinned rows: base and adapter, or other weights in the base's place. */
const logits = ({ base, rows }: Trained, model: Partial<ReadModel>): HostTensor =>
  logitsOf({ config: base.config, weightOf: (name) => readWeight(base, name), ...model }, rows);

/** Between two passes, each of which holds the event loop. */
function breathe({ onPass }: Trained): Promise<void> {
  onPass?.();
  return new Promise(setImmediate);
}

async function adapterExport(
  dir: string,
  kind: 'peft' | 'adapter',
  files: AdapterFiles,
  { trained, expected }: Pinned,
): Promise<FinishedExport> {
  writeFolder(dir, adapterFiles(files));
  await breathe(trained);
  const parity = compareLogits(
    trained.rows.length,
    expected,
    logits(trained, { tuned: readAdapter(dir, trained.base.config) }),
  );
  return finishFolder(dir, kind, trained, { parity, rounding: null, notes: servingNotes(files), problem: null }, null);
}

/** Refuses a folder that is not what was trained; adds to a good one what is known of it. */
function finishFolder(
  dir: string,
  kind: FinishedExport['kind'],
  { spec }: Trained,
  report: ExportReport & { parity: Parity },
  dtype: string | null,
): FinishedExport {
  const format = exportFormatOf(kind);
  try {
    refuseBadParity(format, report.parity, dtype);
  } catch (error) {
    rmSync(dir, { recursive: true });
    throw error;
  }
  addFiles(
    dir,
    cardFiles(() => ({ format, lambda: 1, base: spec.baseName, report })),
  );
  return { kind, dir, sizeBytes: folderBytes(dir), report };
}

/** Base and adapter as one model; what is wrong with it leaves the adapter as it is. */
async function mergedExport(
  parent: string,
  merged: MergedWeights,
  { trained, expected }: Pinned,
): Promise<FinishedExport> {
  const { base, spec, rows } = trained;
  const rounded = createRounded(base, merged);
  await breathe(trained);
  const compared = compareLogits(rows.length, expected, logits(trained, { weightOf: rounded.weightOf }));
  const rounding = rounded.rounding();
  const problem = parityProblem('merged', compared, rounding.dtype);
  const parity = Number.isFinite(compared.max_logit_difference) ? compared : null;
  const report = { parity, rounding, notes: [], problem };
  const files = mergedFiles(spec.baseDir, base, merged);
  const sizeBytes = files.reduce((sum, file) => sum + file.open().sizeBytes, 0);
  if (spec.keepsMerged !== true || problem !== null) return { kind: 'merged', dir: null, sizeBytes, report };
  const dir = join(parent, 'merged');
  writeFolder(dir, files);
  await breathe(trained);
  const model = loadBase(dir);
  const readBack = compareLogits(
    rows.length,
    expected,
    logits(trained, { weightOf: (name) => readWeight(model, name) }),
  );
  return finishFolder(dir, 'merged', trained, { ...report, parity: readBack }, rounding.dtype);
}

/** The model after full fine-tuning: its weights are on the device, and are read some at a time. */
async function wholeExport(parent: string, trained: Trained): Promise<FinishedExport> {
  const { base, spec, trainer, rows } = trained;
  const own = trainer.stateShapes.trainable;
  const merged: MergedWeights = {
    isChanged: (name) => own.has(name),
    weightOf: (name) => (own.has(name) ? trainer.variables([name]).get(name) : undefined) ?? readWeight(base, name),
  };
  const expected = logits(trained, { weightOf: merged.weightOf });
  const rounded = createRounded(base, merged);
  const dir = join(parent, 'merged');
  writeFolder(dir, mergedFiles(spec.baseDir, base, { ...merged, weightOf: rounded.weightOf }));
  await breathe(trained);
  const model = loadBase(dir);
  const parity = compareLogits(rows.length, expected, logits(trained, { weightOf: (name) => readWeight(model, name) }));
  const rounding = rounded.rounding();
  return finishFolder(dir, 'merged', trained, { parity, rounding, notes: [], problem: null }, rounding.dtype);
}
