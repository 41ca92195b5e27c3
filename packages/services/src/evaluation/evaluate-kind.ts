import type { TaskKind } from '@moraine/contract';
import type { Kind } from '../work/kind.js';

/** An evaluation: the items that are stored stay, whatever becomes of an attempt. */
export const evaluateKind: Kind & { name: TaskKind } = {
  name: 'evaluate',
  noun: 'evaluation',
  keeps: 'item',
  lessMemory: async () => null,
  ended: async () => undefined,
};
