import { basename } from 'node:path';
import { AppError, checkExportRank, type ExportOrder, LORA_ERROR_MAX, LOW_RANK } from '@moraine/contract';
import { loadBaseTokenizer, type TextTokenizer } from '@moraine/data';
import { invariant } from '@moraine/engine';
import { type AdapterFiles, exportAdapter, type LowRankError } from '@moraine/lm';
import { type Base, loadBase } from '../base.js';
import { ggufFile } from '../gguf/gguf-file.js';
import { describeExport, type ExportFacts, percent, readmeFile } from './describe-export.js';
import { type ExportFile, jsonFile, tensorsFile } from './files.js';
import { createRounded, mergedFiles } from './merged.js';
import { lowRankFiles, mergedWeights, type Result, readResult, variablesAt } from './result.js';
import { servingNotes } from './serving-notes.js';

/** The file of format `gguf`. */
const GGUF_NAME = 'model-f16.gguf';

export interface Export {
  /** In the order in which they are to be read. */
  files: ExportFile[];
  /** What is known of it when the files have been read. */
  facts(): ExportFacts;
}

/**
 * A result in a form and at a share of its update, with what is known of it. Nothing is written, and of a merged model no more than a weight is
 * in memory.
 * @param tokenizer what `exportedTokenizer` gives.
 * @throws AppError `unsupported_format` with the reason where the method has no such form or a LoRA of the rank is too far from the update.
 */
export function makeExport(order: ExportOrder, tokenizer: TextTokenizer | null = null): ExportFile[] {
  const base = loadBase(order.baseDir);
  const { files, facts } = exportOf(order, base, readResult(order.resultDir, base), tokenizer);
  return [...files, ...cardFiles(facts)];
}

/** What says of an export what is known: for programs, and for people. */
export const cardFiles = (facts: () => ExportFacts): ExportFile[] => [
  jsonFile('export.json', facts),
  readmeFile(() => describeExport(facts())),
];

/** The tokenizer that an export writes; null where it writes none. */
export async function exportedTokenizer({ format, baseDir }: ExportOrder): Promise<TextTokenizer | null> {
  return format === 'gguf' ? loadBaseTokenizer(baseDir, loadBase(baseDir).config.vocabSize) : null;
}

/** @param tokenizer what `exportedTokenizer` gives. */
export function exportOf(order: ExportOrder, base: Base, result: Result, tokenizer: TextTokenizer | null): Export {
  checkExportRank(order);
  const { format, lambda, baseName } = order;
  const facts = { format, lambda, base: baseName, report: { parity: null, rounding: null, notes: [], problem: null } };
  switch (format) {
    case 'merged':
      return mergedExport(order, base, result, facts);
    case LOW_RANK:
      return lowRankExport(order, base, result, facts);
    case 'native':
    case 'peft':
      return adapterExport(adapterForm(order, base, result), facts);
    case 'gguf':
      invariant(tokenizer !== null, 'the tokenizer was loaded for the format that writes it');
      return ggufExport(order, base, result, tokenizer, facts);
    default:
      return format satisfies never;
  }
}

function mergedExport({ baseDir, lambda }: ExportOrder, base: Base, result: Result, facts: ExportFacts): Export {
  const merged = mergedWeights(base, result, lambda);
  // What rounding loses is known when the weights have been written.
  const { weightOf, rounding } = createRounded(base, merged);
  return {
    files: mergedFiles(baseDir, base, { ...merged, weightOf }),
    facts: () => ({ ...facts, report: { ...facts.report, rounding: rounding() } }),
  };
}

/** The merged model in one file. */
function ggufExport(
  { baseDir, baseName, lambda }: ExportOrder,
  base: Base,
  result: Result,
  tokenizer: TextTokenizer,
  facts: ExportFacts,
): Export {
  const { weightOf } = mergedWeights(base, result, lambda);
  const name = `${basename(baseName)}, fine-tuned`;
  const { sizeBytes, pieces } = ggufFile({ name, baseDir, base, tokenizer, weightOf });
  return { files: [{ name: GGUF_NAME, open: () => ({ sizeBytes, pieces: pieces() }) }], facts: () => facts };
}

function adapterForm({ format, lambda, baseName }: ExportOrder, base: Base, result: Result): AdapterFiles {
  if (result.kind === 'whole')
    throw unsupported(
      'Full fine-tuning changes the model itself, so there is no adapter beside it.',
      `Take the merged model, or format ${LOW_RANK} with a rank.`,
    );
  const { adapter, variables } = result;
  const forms = exportAdapter(base.config, adapter, variablesAt(base, adapter, variables, lambda), baseName);
  const form = format === 'peft' ? forms.peft : forms.native;
  if (form !== null) return form;
  throw unsupported(
    "The method's update has no exact form in PEFT's layout.",
    `Take the native form, the merged model, or format ${LOW_RANK} with a rank.`,
  );
}

/** The files of an adapter in a form. */
export const adapterFiles = ({ configName, weightsName, tensors, config }: AdapterFiles): ExportFile[] => [
  jsonFile(configName, () => config),
  tensorsFile(weightsName, tensors),
];

const adapterExport = (files: AdapterFiles, facts: ExportFacts): Export => ({
  files: adapterFiles(files),
  facts: () => ({ ...facts, report: { ...facts.report, notes: servingNotes(files) } }),
});

function lowRankExport(order: ExportOrder, base: Base, result: Result, facts: ExportFacts): Export {
  const { rank = 0, maxError = LORA_ERROR_MAX, lambda, baseName } = order;
  const { files, error } = lowRankFiles(base, baseName, result, lambda, rank);
  if (error.total > maxError) throw tooFar(rank, error, maxError);
  return adapterExport(files, { ...facts, rank, error });
}

const tooFar = (rank: number, { total, worst, worstLayer }: LowRankError, maxError: number): AppError =>
  new AppError(
    'unsupported_format',
    `An adapter of rank ${rank} misses ${percent(total)} of the update, more than ${percent(maxError)}; the worst layer is ${worstLayer} with ${percent(worst)}.`,
    {
      param: 'rank',
      hint: 'Take a larger rank or the merged model, or allow the error with allow_error (--allow-error).',
    },
  );

const unsupported = (problem: string, hint: string): AppError =>
  new AppError('unsupported_format', problem, { param: 'format', hint });
