import type { BesideTasks } from '@moraine/contract';
import { duration } from './terminal.js';

/** Tasks of their own that a run asks for, a line a kind that it asks for. */
export const besideLines = (beside: BesideTasks): string[] =>
  Object.entries(beside).flatMap(([kind, { count, seconds }]) =>
    count === 0
      ? []
      : [`${count} ${kind}, ${seconds === null ? 'of which none like them has ended yet' : duration(seconds)}`],
  );
