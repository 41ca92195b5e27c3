import { AppError, type RunConfig } from '@moraine/contract';
import type { ModelShape } from '@moraine/contract/plan';
import { type EncodeReport, encodeFile, type TextTokenizer, type TrainingRow } from '@moraine/data';
import type { Emit } from './control.js';

/** Encodes one file of a run; `label` names it in messages. */
export type Encode = (label: string, path: string) => Promise<TrainingRow[]>;

/**
 * How a run reads its files: what is cut or left out is said, whichever file it is.
 * The result throws AppError `user_data`, `invalid_file`, or `invalid_base` when the tokenizer makes tokens that the base has no row for.
 */
export function createEncode(config: RunConfig, model: ModelShape, tokenizer: TextTokenizer, emit: Emit): Encode {
  const limits = { maxSeqLen: config.max_seq_len, overLength: config.over_length };
  return async (label, path) => {
    const { rows, report } = await encodeFile(path, tokenizer, limits);
    // A GPU gathers zeros for an id beyond the table and says nothing.
    const idMax = rows.reduce((max, { ids }) => ids.reduce((a, b) => Math.max(a, b), max), tokenizer.padId);
    if (idMax >= model.vocabSize) {
      const token = tokenizer.decode([idMax], { skipSpecialTokens: false });
      throw new AppError(
        'invalid_base',
        `The tokenizer makes token ${idMax} (${JSON.stringify(token)}), but the base's vocabulary has ${model.vocabSize}.`,
        { param: 'tokenizer.json', hint: 'Register the base with its own tokenizer, or resize its embedding first.' },
      );
    }
    const message = lossesOf(label, report);
    if (message !== null) emit({ type: 'message', level: 'warn', at: Date.now(), message, data: { ...report } });
    return rows;
  };
}

/** What was cut or left out of a file; null when nothing was. */
function lossesOf(label: string, report: EncodeReport): string | null {
  const parts: string[] = [];
  if (report.truncated > 0) parts.push(`${report.truncated} rows were cut to the longest length`);
  if (report.droppedOverLength > 0) parts.push(`${report.droppedOverLength} rows were longer and left out`);
  if (report.droppedNothingSupervised > 0)
    parts.push(`${report.droppedNothingSupervised} rows have no answer to learn and were left out`);
  return parts.length === 0 ? null : `${label}: ${parts.join(', ')}. ${report.rows} rows are used.`;
}
