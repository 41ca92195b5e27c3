import type { RunState, RunStatus, StateReason, StreamMessage } from '@moraine/contract';
import type { Redis, Result } from 'ioredis';
import type { Services } from './context.js';

/** Messages that a stream keeps, more or less. Older ones are in Postgres. */
const LENGTH = 10_000;
const KEEP_SECONDS = 7 * 24 * 3600;

export const streamKey = (s: Services, runId: string): string => `${s.redisPrefix}:run:${runId}`;

/**
 * Adds messages once and in order. An attempt's messages are numbered: one that was sent before is skipped, those of an attempt that was
 * overtaken are refused. A stream that is new (or was wiped) begins with `reset`, because a follower of the old one has missed some.
 */
const PUBLISH = `
local attempt, last = tonumber(ARGV[1]), 0
if attempt > 0 then
  local fence = redis.call('HMGET', KEYS[2], 'attempt', 'seq')
  if fence[1] then
    if attempt < tonumber(fence[1]) then return -1 end
    if attempt == tonumber(fence[1]) then last = tonumber(fence[2]) end
  end
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('XADD', KEYS[1], '*', 'm', '{"event":"reset","data":{"step":0,"attempt":' .. attempt .. '}}')
end
local added = 0
for i = 4, #ARGV, 2 do
  local seq = tonumber(ARGV[i])
  if seq == 0 or seq > last then
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'm', ARGV[i + 1])
    if seq > last then last = seq end
    added = added + 1
  end
end
if attempt > 0 then
  redis.call('HSET', KEYS[2], 'attempt', attempt, 'seq', last)
  redis.call('EXPIRE', KEYS[2], ARGV[3])
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return added`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    moraineStreamAdd(stream: string, fence: string, ...args: (string | number)[]): Result<number, Context>;
  }
}

export interface Outgoing {
  message: StreamMessage;
  /** Number of the message inside its attempt, from 1; 0 for what may be said twice. */
  seq: number;
}

const prepared = new WeakSet<Redis>();

/**
 * Publishes messages of a run. With `attempt`, those of an attempt that was overtaken are refused (answers false).
 * Rejects when Redis is away; sending the same numbers again is safe.
 */
export async function publish(
  s: Services,
  runId: string,
  messages: readonly Outgoing[],
  attempt = 0,
): Promise<boolean> {
  if (!prepared.has(s.redis)) {
    s.redis.defineCommand('moraineStreamAdd', { numberOfKeys: 2, lua: PUBLISH });
    prepared.add(s.redis);
  }
  const key = streamKey(s, runId);
  const args = messages.flatMap(({ message, seq }) => [seq, JSON.stringify(message)]);
  return (await s.redis.moraineStreamAdd(key, `${key}:fence`, attempt, LENGTH, KEEP_SECONDS, ...args)) >= 0;
}

/** Publishes what a reader can also learn from Postgres: Redis being away is no reason to fail, nor to wait. */
export async function notify(
  s: Services,
  runId: string,
  messages: readonly StreamMessage[],
  attempt = 0,
): Promise<void> {
  const outgoing = messages.map((message) => ({ message, seq: 0 }));
  await s.redisLink.tell('A live message', () => publish(s, runId, outgoing, attempt));
}

export interface StatusRow {
  status: string;
  state: string | null;
  state_reason: StateReason | null;
  attempt: number;
}

/** The message that says where a run stands. */
export const statusMessage = (row: StatusRow): StreamMessage => ({
  event: 'status',
  data: {
    status: row.status as RunStatus,
    state: row.state as RunState | null,
    state_reason: row.state_reason,
    attempt: row.attempt,
  },
});
