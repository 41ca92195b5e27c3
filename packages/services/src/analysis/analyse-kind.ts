import type { TaskKind } from '@moraine/contract';
import type { Kind } from '../work/kind.js';

/** An analysis: the rows that are stored stay, whatever becomes of an attempt. */
export const analyseKind: Kind & { name: TaskKind } = {
  name: 'analyse',
  noun: 'analysis',
  keeps: 'row',
  lessMemory: async () => null,
  ended: async () => undefined,
};
