import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** One request of the load. */
export interface Shot {
  kind: 'read' | 'create';
  /** What is asked for, without ids: figures are given by it. */
  name: string;
  method: 'GET' | 'POST';
  path: string;
  body?: unknown;
  /** Its answer has very many items. */
  isLong?: boolean;
}

export interface Result {
  kind: Shot['kind'];
  name: string;
  /** HTTP status; 0 where the connection broke. */
  status: number;
  /** From the moment the request was due to the last byte of its response. */
  ms: number;
}

export interface Target {
  url: string;
  key: string;
}

const SOCKETS_MAX = 2_000;

export interface Shooter {
  shoot(shot: Shot, dueAt?: number): Promise<Result>;
  close(): void;
}

/** Sends requests over connections that stay open. */
export function openShooter({ url, key }: Target): Shooter {
  const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });
  const { hostname, port } = new URL(url);
  const shoot = ({ kind, name, method, path, body }: Shot, dueAt = performance.now()): Promise<Result> =>
    new Promise((resolve) => {
      const end = (status: number): void => resolve({ kind, name, status, ms: performance.now() - dueAt });
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers = { authorization: `Bearer ${key}`, ...(text && { 'content-type': 'application/json' }) };
      const sending = request({ agent, hostname, port, method, path, headers }, (response) => {
        response.on('data', () => undefined);
        response.on('end', () => end(response.statusCode ?? 0));
        response.on('error', () => end(0));
      });
      sending.on('error', () => end(0));
      sending.end(text);
    });
  return { shoot, close: () => agent.destroy() };
}

/**
 * An open loop: request number n is due exactly n / rate seconds after the start, whether or not the server has answered those before,
 * and its latency counts from then. So a server that stalls is charged for everyone who would have come meanwhile.
 */
export async function openLoop(
  target: Target,
  { rate, seconds, next }: { rate: number; seconds: number; next(n: number): Shot },
): Promise<Result[]> {
  const shooter = openShooter(target);
  const total = Math.round(rate * seconds);
  const results: Promise<Result>[] = [];
  const began = performance.now();
  for (let n = 0; n < total; n++) {
    const dueAt = began + (n / rate) * 1_000;
    const waitMs = dueAt - performance.now();
    if (waitMs > 1) await sleep(waitMs);
    results.push(shooter.shoot(next(n), dueAt));
  }
  const done = await Promise.all(results);
  shooter.close();
  return done;
}
