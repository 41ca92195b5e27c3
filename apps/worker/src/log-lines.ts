import type { Readable } from 'node:stream';
import type { NewLogLine } from '@moraine/services';

/** Lines kept of one attempt; a program that writes without end must not fill the database. */
const LINES_MAX = 20_000;
const LENGTH_MAX = 8_192;
const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** Numbers what the child writes, line by line, and hands it over; pino's JSON lines keep their level and message. */
export function captureLines(
  streams: readonly { stream: Readable | null; level: string }[],
  onLine: (line: NewLogLine) => void,
): void {
  let count = 0;
  const take = (text: string, level: string): void => {
    if (text.trim() === '' || count > LINES_MAX) return;
    count++;
    if (count > LINES_MAX) {
      onLine({
        line: count,
        at: Date.now(),
        level: 'warn',
        message: `Further lines are left out: an attempt keeps ${LINES_MAX}.`,
      });
      return;
    }
    const line = parsePino(text) ?? { at: Date.now(), level, message: text };
    onLine({ ...line, line: count, message: line.message.slice(0, LENGTH_MAX) });
  };
  for (const { stream, level } of streams) {
    let rest = '';
    stream?.setEncoding('utf8');
    stream?.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) take(line, level);
      if (rest.length > LENGTH_MAX) {
        take(rest, level);
        rest = '';
      }
    });
    stream?.on('end', () => take(rest, level));
  }
}

function parsePino(text: string): { at: number; level: string; message: string } | null {
  if (!text.startsWith('{')) return null;
  try {
    const entry: unknown = JSON.parse(text);
    if (typeof entry !== 'object' || entry === null || !('msg' in entry) || !('level' in entry)) return null;
    const at = 'time' in entry && typeof entry.time === 'number' ? entry.time : Date.now();
    return { at, level: LEVELS[Number(entry.level)] ?? 'info', message: String(entry.msg) };
  } catch {
    return null;
  }
}
