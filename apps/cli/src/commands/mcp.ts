import { Writable } from 'node:stream';
import { type Command, DATA_OPTION, noMoreThan } from '../args.js';
import { SERVER_OPTIONS } from '../compare/compare-by.js';
import { untilSignal } from '../signals.js';

export const mcpCommand: Command = {
  name: 'mcp',
  forms: ['[--url URL [--key KEY]]'],
  options: { data: DATA_OPTION, ...SERVER_OPTIONS },
  run: async (args) => {
    noMoreThan(args, 0, mcpCommand);
    const [{ createMcpServer }, { StdioServerTransport }] = await Promise.all([
      import('../mcp/server.js'),
      import('@modelcontextprotocol/sdk/server/stdio.js'),
    ]);
    const server = createMcpServer({ args });
    await server.connect(new StdioServerTransport(process.stdin, takeStandardOutput()));
    return untilSignal(
      (signal) =>
        new Promise<number>((resolve) => {
          const end = (): void => void server.close().then(() => resolve(0));
          process.stdin.once('end', end);
          signal.addEventListener('abort', end, { once: true });
        }),
    );
  },
};

/** Standard output for messages of the protocol alone: whatever else is printed goes to standard error. */
function takeStandardOutput(): Writable {
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = process.stderr.write.bind(process.stderr) as typeof process.stdout.write;
  return new Writable({ write: (chunk: Buffer, _encoding, done) => void write(chunk, () => done()) });
}
