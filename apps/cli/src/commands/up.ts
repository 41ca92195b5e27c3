import { explain } from '@moraine/contract';
import { type Client, createClient } from '@moraine/contract/client';
import { type Command, DATA_OPTION, integer, noMoreThan, text } from '../args.js';
import { showLogs } from '../log-view.js';
import { dataDirFor } from '../paths.js';
import { ensureBase, SHIPPED_BASE } from '../register-base.js';
import { untilSignal } from '../signals.js';
import { paint, print, printError } from '../terminal.js';
import { watchSources } from '../up/dev.js';
import type { PartEvent } from '../up/keep-running.js';
import { type Stack, startStack } from '../up/supervisor.js';

export const upCommand: Command = {
  name: 'up',
  forms: ['[--workers N] [--port N] [--data DIR] [--bare] [--dev]'],
  options: {
    workers: { type: 'string', value: 'N', help: 'Worker processes on this machine; default 1.' },
    port: {
      type: 'string',
      value: 'N',
      help: 'Port of API and dashboard; default the last one, at first 7311 or a free one.',
    },
    host: {
      type: 'string',
      value: 'ADDRESS',
      help: 'Address to listen on; default 127.0.0.1, 0.0.0.0 for every network.',
    },
    data: DATA_OPTION,
    bare: { type: 'boolean', help: 'Register no base model; without it the shipped one is there as moraine-tiny.' },
    dev: { type: 'boolean', help: 'Build what changes and restart what runs it.' },
    quiet: { type: 'boolean', help: 'Only warnings and errors of the parts; everything is in the log files.' },
  },
  run: async (args) => {
    noMoreThan(args, 0, upCommand);
    const dataDir = dataDirFor(text(args, 'data'));
    const started = performance.now();
    return untilSignal(async (signal) => {
      const stack = await startStack({
        dataDir,
        workers: integer(args, 'workers', 0, 256) ?? 1,
        port: integer(args, 'port', 0, 65_535),
        host: text(args, 'host'),
        signal,
        onEvent: (event) => printError(describe(event)),
      });
      const logs = showLogs(stack.logs, args.options.quiet ? 'warn' : 'info', print);
      await announce(stack, started, args.options.bare !== true).catch(async (error: unknown) => {
        await stack.stop();
        throw error;
      });
      const sources = args.options.dev ? watchSources(stack, printError) : null;
      return {
        stop: async () => {
          sources?.close();
          print('\nStopping: workers save what they have. Ctrl-C again ends them at once.');
          await stack.stop();
          logs.close();
        },
        kill: () => {
          sources?.close();
          return stack.kill();
        },
      };
    });
  },
};

async function announce(stack: Stack, started: number, withBase: boolean): Promise<void> {
  await warnAboutRuntime();
  const client = createClient(stack);
  if (withBase) await registerShipped(client);
  const { url } = await client.call('createLoginLink');
  const seconds = (performance.now() - started) / 1000;
  print();
  print(`${paint('bold', 'Moraine')} is up after ${seconds.toFixed(1)} s.`);
  print(`  API        ${stack.origin}/v1   (${stack.origin}/docs)`);
  print(`  Dashboard  ${url}   (opens one browser, once; \`npx moraine login\` prints another)`);
  print('  Clients    eval "$(npx moraine env)"');
  print(`  Logs       ${stack.logsDir}`);
  print('  Ctrl-C stops everything; queued and running work goes on at the next start.\n');
}

/** The examples of the documents name this base. A stack that cannot have it is up all the same. */
async function registerShipped(client: Client): Promise<void> {
  try {
    await ensureBase(client);
  } catch (error) {
    printError(paint('yellow', `The shipped base ${SHIPPED_BASE} is not registered: ${explain(error)}`));
  }
}

export function describe(event: PartEvent): string {
  const { part } = event;
  const soon = (restartMs: number): string => `it is started again in ${(restartMs / 1000).toFixed(1)} s`;
  switch (event.type) {
    case 'started':
      return paint('dim', `${part} runs (process ${event.pid})`);
    case 'adopted':
      return paint('dim', `${part} was still running (process ${event.pid}) and is taken over`);
    case 'hung':
      return paint('red', `${part} has not responded for ${(event.silentMs / 1000).toFixed(0)} s and is ended`);
    case 'ended':
      return paint('yellow', `${part} ended; ${soon(event.restartMs)}`);
    case 'failed':
      return paint('red', `${part} does not start; ${soon(event.restartMs)}: ${event.message}`);
  }
}

/** A stack without its training runtime is worth having: it queues. But say so. */
export async function warnAboutRuntime(): Promise<void> {
  const { runtimeStatus } = await import('@moraine/engine/install');
  try {
    const { isInstalled, reason } = runtimeStatus();
    if (!isInstalled)
      printError(
        paint(
          'yellow',
          `No training runtime (${reason}): runs wait in the queue. Install it with \`npx moraine setup\`.`,
        ),
      );
  } catch (error) {
    printError(paint('yellow', `No training runtime: ${error instanceof Error ? error.message : String(error)}`));
  }
}
