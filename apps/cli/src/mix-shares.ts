import type { FileRehearsal } from '@moraine/contract';
import { describeShare } from '@moraine/contract/plan';

/** What part of a run each file of its mix is, a sentence each. */
export const sharesOf = (rehearsal: readonly FileRehearsal[] = []): string[] =>
  rehearsal.flatMap(({ file_id, param, mix }) => (mix ? [describeShare(`${param} (${file_id})`, mix)] : []));
