import { connect, createServer, type Socket } from 'node:net';

/** A way to a server that can go silent: connections stay open and nothing comes through. */
export interface Between {
  /** The server's address, through here. */
  url: string;
  /** From now on nothing comes through on the connections there are; new ones work. */
  silence(): void;
  /** The server hangs: nothing comes through, and new connections are taken but say nothing, as with a stopped process. */
  hang(): void;
  /** Everything that waited goes through, in order. */
  resume(): void;
  close(): void;
}

export async function openBetween(address: string): Promise<Between> {
  const url = new URL(address);
  const target = { port: Number(url.port), host: url.hostname };
  const pairs = new Set<[Socket, Socket]>();
  let isHanging = false;
  const join = ([client, there]: [Socket, Socket]) => client.pipe(there).pipe(client);
  const server = createServer((client) => {
    const pair: [Socket, Socket] = [client, connect(target.port, target.host)];
    pairs.add(pair);
    for (const socket of pair) socket.on('error', () => undefined).on('close', () => pairs.delete(pair));
    for (const socket of pair) socket.on('close', () => pair.forEach((one) => void one.destroy()));
    if (!isHanging) join(pair);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const own = server.address();
  url.port = String(typeof own === 'object' ? own?.port : '');
  const silence = (): void => {
    for (const socket of [...pairs].flat()) socket.unpipe().pause();
  };
  return {
    url: url.href,
    silence,
    hang() {
      isHanging = true;
      silence();
    },
    resume() {
      isHanging = false;
      for (const pair of pairs) join(pair);
    },
    close() {
      for (const socket of [...pairs].flat()) socket.destroy();
      server.close();
    },
  };
}
