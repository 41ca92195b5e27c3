import path from 'node:path';
import { AppError } from '@moraine/contract';
import { type Command, integer, noMoreThan, oneOf, text } from '../args.js';
import { MODE_OPTION, MODES } from '../request-options.js';
import { untilSignal } from '../signals.js';
import { print } from '../terminal.js';
import { BASE_OPTION, neededPath } from './options.js';

const PORT = 7313;

export const serveCommand: Command = {
  name: 'local serve',
  forms: ['--base DIR [--adapter NAME=DIR …] [--port N] [--key KEY]'],
  options: {
    base: BASE_OPTION,
    name: { type: 'string', value: 'NAME', help: 'What requests call the base; default the name of its folder.' },
    adapter: {
      type: 'string',
      value: 'ADAPTER',
      help: 'NAME=DIR, what requests call an adapter of the base, and its folder; may be given several times. One that cannot answer beside others is merged into weights of its own.',
    },
    host: { type: 'string', value: 'HOST', help: 'Address to listen on; default 127.0.0.1, this machine alone.' },
    port: { type: 'string', value: 'N', help: `Port to listen on; default ${PORT}, 0 for a free one.` },
    key: {
      type: 'string',
      value: 'KEY',
      help: 'What callers send as their API key; default: anybody who reaches it may ask.',
    },
    rows: { type: 'string', value: 'N', help: 'Answers that are written side by side; default 8.' },
    context: { type: 'string', value: 'N', help: 'Longest prompt and answer together, tokens; default the base’s.' },
    memory: {
      type: 'string',
      value: 'MB',
      help: 'What weights, caches and adapters may take of memory; default 60 % of the machine’s. TensorFlow and Node take some 500 MB besides.',
    },
    mode: MODE_OPTION,
  },
  run: async (args) => {
    noMoreThan(args, 0, serveCommand);
    const baseDir = neededPath(args, 'base', serveCommand);
    const megabytes = integer(args, 'memory', 1, 100_000_000);
    const options = {
      baseDir,
      baseName: text(args, 'name') ?? path.basename(baseDir),
      adapters: (args.repeated.adapter ?? []).map(adapterOf),
      mode: oneOf(args, 'mode', MODES) ?? 'plain',
      rows: integer(args, 'rows', 1, 256) ?? 8,
      contextMax: integer(args, 'context', 32, 1_000_000),
      memoryBytes: megabytes === undefined ? undefined : megabytes * 2 ** 20,
    };
    const place = { host: text(args, 'host') ?? '127.0.0.1', port: integer(args, 'port', 0, 65_535) ?? PORT };
    return untilSignal(async () => {
      const [{ openServed }, { createInference }, { pino }] = await Promise.all([
        import('@moraine/recipes'),
        import('@moraine/inference'),
        import('pino'),
      ]);
      const served = await openServed(options);
      const app = createInference({ served, key: text(args, 'key') ?? null, log: pino({ level: 'warn' }) });
      const stop = async () => {
        await app.close();
        served.dispose();
      };
      try {
        const address = await app.listen(place);
        print(describe(address, served.names()));
        return { stop, kill: stop };
      } catch (error) {
        await stop();
        throw error;
      }
    });
  },
};

function adapterOf(written: string): { name: string; dir: string } {
  const at = written.indexOf('=');
  if (at > 0 && at < written.length - 1)
    return { name: written.slice(0, at), dir: path.resolve(written.slice(at + 1)) };
  throw new AppError('invalid_request', `--adapter ${written} is no NAME=DIR.`, {
    hint: 'Write what requests call it, and its folder: --adapter records=my-run/adapter.',
  });
}

/** Where it is, what it answers with, and the first question. */
function describe(address: string, names: readonly string[]): string {
  const model = names.at(-1) ?? '';
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] });
  return [
    `${names.length === 1 ? 'One model answers' : `${names.length} models answer`} at ${address}/v1: ${names.join(', ')}.`,
    `Ask one: curl ${address}/v1/chat/completions -H 'content-type: application/json' -d '${body}'`,
    'Ctrl-C ends it.',
  ].join('\n');
}
