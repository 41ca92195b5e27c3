import { prettyFactory } from 'pino-pretty';
import { isTerminal, paint } from './terminal.js';
import { type LogTail, tailLog } from './up/log-tail.js';

const LEVEL = { debug: 20, info: 30, warn: 40 } as const;

/** Shows the parts' JSON logs as they grow, one readable line each, with the part's name in front. */
export function showLogs(
  logs: { part: string; file: string }[],
  level: keyof typeof LEVEL,
  write: (line: string) => void,
): LogTail {
  const pretty = prettyFactory({
    colorize: isTerminal(),
    ignore: 'pid,hostname,part,name,requestId,method,path,status,keyId',
    translateTime: 'SYS:HH:MM:ss',
    singleLine: true,
  });
  const width = Math.max(...logs.map(({ part }) => part.length));
  const tails = logs.map(({ part, file }) =>
    tailLog(file, (line) => {
      if (line.startsWith('{') && levelOf(line) < LEVEL[level]) return;
      for (const row of pretty(line)?.trimEnd().split('\n') ?? [])
        write(`${paint('dim', `${part.padEnd(width)} │`)} ${row}`);
    }),
  );
  return {
    close() {
      for (const tail of tails) tail.close();
    },
  };
}

function levelOf(line: string): number {
  try {
    const { level } = JSON.parse(line) as { level?: unknown };
    return typeof level === 'number' ? level : LEVEL.warn;
  } catch {
    return LEVEL.warn;
  }
}
