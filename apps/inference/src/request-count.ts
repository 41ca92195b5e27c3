import { AppError } from '@moraine/contract';
import type { FastifyInstance } from 'fastify';

export interface RequestCount {
  /** Counts the requests of a server, each until its answer is out or its caller gone. */
  watch(app: FastifyInstance): void;
  open(): number;
  /** For how long there was none. */
  idleMs(): number;
  /** New ones are refused from now on. */
  refuse(): void;
}

/** Requests under way in a process. */
export function requestCount(): RequestCount {
  let open = 0;
  let since = performance.now();
  let isEnding = false;
  return {
    watch(app) {
      app.addHook('onRequest', async (request, reply) => {
        if (request.url === '/healthz') return;
        if (isEnding) throw new AppError('unavailable', 'This process is about to end.', { hint: 'Ask again.' });
        open += 1;
        reply.raw.once('close', () => {
          open -= 1;
          since = performance.now();
        });
      });
    },
    open: () => open,
    idleMs: () => (open > 0 ? 0 : performance.now() - since),
    refuse: () => {
      isEnding = true;
    },
  };
}
