import { connect, createServer, type Socket } from 'node:net';

/** A way to a Redis that can go silent: connections stay open and nothing comes through. */
export interface Between {
  redisUrl: string;
  /** From now on nothing comes through, on the connections there are. */
  silence(): void;
  close(): void;
}

export async function openBetween(redisUrl: string): Promise<Between> {
  const url = new URL(redisUrl);
  const target = { port: Number(url.port), host: url.hostname };
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const there = connect(target.port, target.host);
    for (const socket of [client, there]) sockets.add(socket.on('error', () => undefined));
    client.pipe(there).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  url.port = String(typeof address === 'object' ? address?.port : '');
  return {
    redisUrl: url.href,
    silence() {
      for (const socket of sockets) socket.unpipe().pause();
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
