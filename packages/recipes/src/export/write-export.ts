import { rmSync } from 'node:fs';
import { AppError, type ExportOrder, LOW_RANK, type Parity } from '@moraine/contract';
import { decode, encode } from '@moraine/engine';
import { adapterAtLambda, type HostTensor, logitsOf, type ReadModel } from '@moraine/lm';
import { type Base, loadBase, readWeight } from '../base.js';
import { readAdapter } from '../read-adapter.js';
import { checkWeights } from '../weight-bytes.js';
import { describeExport, type ExportFacts } from './describe-export.js';
import { addFiles, writeFolder } from './files.js';
import { cardFiles, exportedTokenizer, exportOf } from './make-export.js';
import { compareLogits, madeRows, parityProblem } from './parity.js';
import { mergedWeights, type Result, readResult } from './result.js';

/**
 * Writes an export as a new folder, reads it back and compares it with what it is made of, on tokens that are the same every time.
 * @throws AppError as `makeExport` does; `internal` where what was written computes something else, and then nothing is left.
 */
export async function writeExport(
  dir: string,
  order: ExportOrder,
): Promise<{ facts: ExportFacts; sentences: string[] }> {
  const base = loadBase(order.baseDir);
  await checkWeights(base.weights);
  const result = readResult(order.resultDir, base);
  const { files, facts } = exportOf(order, base, result, await exportedTokenizer(order));
  writeFolder(dir, files);
  try {
    const parity = compare(dir, order, base, result);
    const made = facts();
    const isExact = order.format === 'native' || order.format === 'peft';
    const problem =
      order.format === LOW_RANK
        ? null
        : parityProblem(
            order.format,
            parity,
            isExact ? null : order.format === 'gguf' ? 'F16' : (made.report.rounding?.dtype ?? ''),
          );
    if (problem !== null) throw new AppError('internal', problem, { hint: 'Nothing is left of it.' });
    const compared = { ...made, report: { ...made.report, parity } };
    addFiles(
      dir,
      cardFiles(() => compared),
    );
    return { facts: compared, sentences: describeExport(compared) };
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

/** Logits of what was written beside those of what it is made of. */
function compare(dir: string, { format, lambda }: ExportOrder, base: Base, result: Result): Parity {
  const rows = madeRows(base.config.vocabSize);
  const logits = (model: Partial<ReadModel>): HostTensor =>
    logitsOf({ config: base.config, weightOf: (name) => readWeight(base, name), ...model }, rows);
  const expected = logits(sourceOf(base, result, lambda));
  if (format === 'gguf')
    return compareLogits(rows.length, expected, logits({ weightOf: inFloat16(base, result, lambda) }));
  if (format !== 'merged')
    return compareLogits(rows.length, expected, logits({ tuned: readAdapter(dir, base.config) }));
  const model = loadBase(dir);
  return compareLogits(rows.length, expected, logits({ weightOf: (name) => readWeight(model, name) }));
}

/** The merged weights as the file has them: matrices in float16. */
function inFloat16(base: Base, result: Result, lambda: number): ReadModel['weightOf'] {
  const { weightOf } = mergedWeights(base, result, lambda);
  return (name) => {
    const { shape, data } = weightOf(name);
    if (shape.length === 1) return { shape, data };
    return { shape, data: decode('F16', encode('F16', data).slice().buffer) as Float32Array };
  };
}

/** Base and result at a share of the update. */
function sourceOf(base: Base, result: Result, lambda: number): Partial<ReadModel> {
  if (result.kind === 'whole') return { weightOf: mergedWeights(base, result, lambda).weightOf };
  if (lambda === 0) return {};
  return { tuned: adapterAtLambda(result.adapter, result.variables, lambda, (name) => readWeight(base, name)) };
}
