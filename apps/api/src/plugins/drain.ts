import { setMaxListeners } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, errorBody } from '@moraine/contract';
import fp from 'fastify-plugin';

export interface DrainTimes {
  /** How long new connections are still taken while `/readyz` says 503, so that what balances the load looks elsewhere first. */
  delayMs: number;
  /** After so long what is still in flight is refused or cut. */
  timeoutMs: number;
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Aborted once this process is asked to end: streams then tell their readers to connect again. */
    draining: AbortSignal;
    /** Takes no more connections, finishes the requests that are there, and resolves when none is left or time is up. */
    drain(times: DrainTimes): Promise<void>;
  }
}

interface Connection {
  requests: Map<IncomingMessage, ServerResponse>;
  /** When it was opened or last had a request, milliseconds of the monotonic clock. */
  since: number;
}

/** A connection without a request is closed after so long: the next request may be on its way, and it would be lost. */
const LINGER_MS = 1_000;
/** One that had none for longer is left for so long still: those who keep it choose among all that they have, and each that they use is closed. */
const NOTICE_MS = 500;
const LOOK_MS = 10;
/** Connections that come one after the other do not keep a server that ends from closing its door for longer. */
const ACCEPT_MS = 2_000;
/** A turn of the event loop that took longer did something, and what came meanwhile is not accepted yet. */
const IDLE_TURN_MS = 0.3;

/** Resolves when the event loop has read what waited on its sockets. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * The end of a process without a request lost. Fastify's own close refuses what comes on open connections, and Node's closes connections
 * whose request has not been read yet; here each response says `Connection: close`, and a connection ends after its response.
 */
export const drain = fp(async (app) => {
  const stop = new AbortController();
  // One listener a stream.
  setMaxListeners(0, stop.signal);
  const connections = new Map<Socket, Connection>();
  let accepted = 0;
  app.server.on('connection', (socket: Socket) => {
    accepted++;
    connections.set(socket, { requests: new Map(), since: performance.now() });
    socket.once('close', () => connections.delete(socket));
  });
  app.server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    const connection = connections.get(request.socket);
    connection?.requests.set(request, response);
    response.once('close', () => {
      connection?.requests.delete(request);
      if (connection) connection.since = performance.now();
    });
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (stop.signal.aborted) reply.header('connection', 'close');
    done();
  });

  /**
   * The system resets connections that wait to be accepted when the door closes. A turn of the event loop accepts one of them; after a turn that
   * brought none and had nothing else to do, none waits.
   */
  const acceptWaiting = async (): Promise<void> => {
    const until = performance.now() + ACCEPT_MS;
    for (let [before, from] = [-1, 0]; before !== accepted || performance.now() - from > IDLE_TURN_MS; await turn()) {
      [before, from] = [accepted, performance.now()];
      if (from > until) return;
    }
  };
  const closeIdle = async (noticed: number): Promise<void> => {
    // After a loop that was late, the request that makes a connection busy may have come and not been read.
    await turn();
    const now = performance.now();
    for (const [socket, { requests, since }] of connections)
      if (requests.size === 0 && now > Math.max(noticed, since + LINGER_MS)) socket.destroy();
  };
  /** An upload that is not whole was not stored: its sender may be told so, and send it elsewhere. */
  const refuseUnread = (): void => {
    for (const { requests } of connections.values())
      for (const [request, response] of requests) if (!request.complete && !response.headersSent) refuse(response);
  };

  app.decorate('draining', stop.signal);
  app.decorate('drain', async ({ delayMs, timeoutMs }: DrainTimes) => {
    const deadline = performance.now() + timeoutMs;
    const noticed = performance.now() + NOTICE_MS;
    stop.abort();
    await sleep(delayMs);
    await acceptWaiting();
    // Not http's own `close`, which ends connections without a request at once.
    Server.prototype.close.call(app.server);
    for (; connections.size > 0 && performance.now() < deadline; await closeIdle(noticed)) await sleep(LOOK_MS);
    if (connections.size === 0) return;
    refuseUnread();
    await sleep(LOOK_MS);
  });
});

function refuse(response: ServerResponse): void {
  const error = new AppError(
    'unavailable',
    'This server is going down and does not wait longer for the rest of the request.',
    {
      hint: 'Send it again.',
    },
  );
  response.writeHead(error.status, {
    'content-type': 'application/json',
    connection: 'close',
    'retry-after': '1',
    'x-should-retry': 'true',
  });
  response.end(JSON.stringify(errorBody(error)));
}
