import { prettyFactory } from 'pino-pretty';
import { isTerminal, paint } from './terminal.js';
import { type LogTail, tailLog } from './up/log-tail.js';

const LEVEL = { debug: 20, info: 30, warn: 40 } as const;

type Entry = Record<string, unknown>;

/**
 * Shows the parts' JSON logs as they grow, one readable line each, with the part's name in front. Of an error its message; the stack is in
 * the file.
 */
export function showLogs(
  logs: { part: string; file: string }[],
  level: keyof typeof LEVEL,
  write: (line: string) => void,
): LogTail {
  const pretty = prettyFactory({
    colorize: isTerminal(),
    ignore: 'pid,hostname,part,name,requestId,method,path,status,keyId,err',
    translateTime: 'SYS:HH:MM:ss',
    singleLine: true,
  });
  const width = Math.max(...logs.map(({ part }) => part.length));
  const tails = logs.map(({ part, file }) =>
    tailLog(file, (line) => {
      const entry = parseEntry(line);
      if (entry && typeof entry.level === 'number' && entry.level < LEVEL[level]) return;
      for (const row of pretty(entry ? withError(entry) : line)
        ?.trimEnd()
        .split('\n') ?? [])
        write(`${paint('dim', `${part.padEnd(width)} │`)} ${row}`);
    }),
  );
  return {
    close() {
      for (const tail of tails) tail.close();
    },
  };
}

/** A line of pino's; null for what a library or a crash printed. */
function parseEntry(line: string): Entry | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Entry) : null;
  } catch {
    return null;
  }
}

function withError(entry: Entry): Entry {
  const { err, msg } = entry;
  if (typeof err !== 'object' || err === null || !('message' in err)) return entry;
  return { ...entry, msg: `${String(msg ?? '')}: ${String(err.message).split('\n')[0]}` };
}
