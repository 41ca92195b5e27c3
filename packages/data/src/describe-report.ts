import type { Duplicates } from './duplicates.js';
import type { EncodeReport, Noted } from './encode-file.js';
import type { DropReason } from './encode-row.js';
import type { RowNote } from './label-row.js';

const DROPPED: Record<DropReason, string> = {
  over_length: 'were longer and left out',
  prompt_too_long: 'have a prompt that fills the longest length and were left out',
  not_written: 'were left out: the chat template does not write their answers as they are',
  nothing_supervised: 'have no answer to learn and were left out',
};

const NOTES: Record<RowNote, string> = {
  split: 'made one row for each answer: the chat template changes earlier turns',
  end_added: 'got an end token behind the answer: the chat template writes none',
  special_in_text: 'hold special tokens of the base inside their texts, which are read as such',
  reasoning_left_out: 'have reasoning that the chat template leaves out; it is not learned',
  tools_left_out: 'have definitions of tools that the chat template does not write; the model is trained without them',
  prompt_differs:
    'have an answer behind another text than the one that the chat template asks for it with: the model is trained on one and asked with the other',
  not_written: 'have an answer that the chat template does not write as it is; that answer is not learned',
};

/** What was cut, left out or changed in a file, a sentence each; empty when nothing was. */
export function describeReport({
  truncated,
  dropped,
  notes,
  rows,
  duplicates,
  inTraining,
  inEarlier,
}: EncodeReport): string[] {
  const cut = truncated > 0 ? [`${truncated} rows were cut to the longest length`] : [];
  const lost = [...cut, ...describeCounts(dropped, DROPPED)];
  const left = lost.length === 0 ? [] : [`${lost.join(', ')}. ${rows} rows are used.`];
  return [
    ...left,
    ...describeRepeated(duplicates),
    ...describeShared(inTraining, 'the training file', 'on them a run is scored for what it was shown'),
    ...describeShared(inEarlier, 'a training file before it', 'they are drawn by the weights of both'),
    ...describeCounts(notes, NOTES).map((sentence) => `${sentence}.`),
  ];
}

const describeRepeated = ({ rows, first }: Duplicates): string[] =>
  first === null
    ? []
    : [`${rows} rows repeat an earlier one word for word (first in line ${first.line}, as in line ${first.of}).`];

const describeShared = (noted: Noted | null, file: string, so: string): string[] =>
  noted === null
    ? []
    : [`${noted.rows} rows are in ${file} too, word for word: ${so} (first in line ${noted.firstLine}).`];

/** Rows that are not trained on. */
export const leftOut = ({ dropped }: EncodeReport): number =>
  Object.values(dropped).reduce((sum, { rows }) => sum + rows, 0);

const describeCounts = <K extends string>(counts: Partial<Record<K, Noted>>, words: Record<K, string>): string[] =>
  (Object.keys(words) as K[]).flatMap((key) => {
    const noted = counts[key];
    return noted ? [`${noted.rows} rows ${words[key]} (first in line ${noted.firstLine})`] : [];
  });
