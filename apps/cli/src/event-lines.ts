import type { EventObject } from '@moraine/contract';
import { paint } from './terminal.js';

const timeOf = (seconds: number): string => new Date(seconds * 1_000).toISOString().replace('.000Z', 'Z');

/** Events that came newest first, oldest first. */
export const eventLines = (events: readonly EventObject[]): string => events.toReversed().map(lineOf).join('\n');

function lineOf({ created_at, level, message }: EventObject): string {
  const words = level === 'info' ? message : paint(level === 'warn' ? 'yellow' : 'red', message);
  return `${paint('dim', timeOf(created_at))} ${words}`;
}
