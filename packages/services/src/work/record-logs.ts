import type { LogLine } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { storable } from '../ground/storable.js';
import { fenced, TOKEN } from './fence.js';

export interface NewLogLine {
  /** Number of the line inside its attempt, from 1: a line sent twice is stored once. */
  line: number;
  /** Unix milliseconds. */
  at: number;
  level: string;
  message: string;
}

/** Stores what the child wrote; answers the lines that were new, as the stream carries them. @throws AppError `stale_attempt`. */
export async function recordLogs(s: Services, token: AttemptToken, lines: readonly NewLogLine[]): Promise<LogLine[]> {
  const { stored } = await fenced<{ stored: LogLine[] }>(
    s,
    token,
    `WITH ${TOKEN}, stored AS (
       INSERT INTO log_lines (task_id, project_id, attempt, line, at, level, message)
       SELECT token.id, token.project_id, $2, i.line, to_timestamp(i.at / 1000.0), i.level, i.message
       FROM token CROSS JOIN unnest($4::int[], $5::float8[], $6::text[], $7::text[]) AS i(line, at, level, message)
       ORDER BY i.line
       ON CONFLICT (task_id, attempt, line) DO NOTHING
       RETURNING seq, attempt, extract(epoch FROM at)::float8 AS at, level, message
     )
     SELECT coalesce((SELECT json_agg(to_json(stored) ORDER BY seq) FROM stored), '[]') AS stored FROM token`,
    [
      lines.map(({ line }) => line),
      lines.map(({ at }) => at),
      lines.map(({ level }) => level),
      lines.map(({ message }) => storable(message)),
    ],
  );
  return stored;
}
