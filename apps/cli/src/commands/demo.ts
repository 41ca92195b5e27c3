import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@moraine/contract/client';
import { type Arguments, type Command, DATA_OPTION, integer, noMoreThan, text } from '../args.js';
import { askEach } from '../demo/ask.js';
import { showBars } from '../demo/bars.js';
import { nextStep } from '../demo/next-step.js';
import { type DemoPlan, demoPlan } from '../demo/plan.js';
import { legend, type RunReport, reportOf, resultTable, samples, verdict } from '../demo/report.js';
import { snippets } from '../demo/snippets.js';
import { openaiClient, submitRuns, uploadFiles } from '../demo/submit.js';
import { watched, watchRun } from '../demo/watch.js';
import { showLogs } from '../log-view.js';
import { dataDirFor } from '../paths.js';
import { ensureBase } from '../register-base.js';
import { type Stoppable, untilSignal } from '../signals.js';
import { duration, paint, print } from '../terminal.js';
import { runningStack, type StackAddress } from '../up/stack-file.js';
import { isReady, type Stack, startStack } from '../up/supervisor.js';
import { describe } from './up.js';

export const demoCommand: Command = {
  name: 'demo',
  forms: ['[--exit] [--short] [--seed N] [--data DIR]'],
  options: {
    exit: { type: 'boolean', help: 'End when the runs have: status 0 if all learned, else 1.' },
    short: {
      type: 'boolean',
      help: 'A tenth of the steps on a part of the rows. Trains for real, but not to the end.',
    },
    seed: { type: 'string', value: 'N', help: 'Seed of data order and initial values; default 0.' },
    base: { type: 'string', value: 'DIR', help: 'Folder of the base model; default examples/base.' },
    port: {
      type: 'string',
      value: 'N',
      help: 'Port of API and dashboard; default the last one, at first 7311 or a free one.',
    },
    data: DATA_OPTION,
  },
  run: async (args) => {
    noMoreThan(args, 0, demoCommand);
    const dataDir = dataDirFor(text(args, 'data'));
    const seed = integer(args, 'seed', 0, 2 ** 31 - 1) ?? 0;
    const plan = demoPlan(args.options.short === true);
    return untilSignal(async (signal) => {
      const running = runningStack(dataDir);
      if (running) {
        print(`A stack already runs on ${dataDir} (${running.origin}): the demo uses it and leaves it running.`);
        // It may have been started a second ago.
        while (!(await isReady(running)) && !signal.aborted) await sleep(200);
        const status = await showDemo(running, plan, seed, args, signal, () => {});
        if (!signal.aborted) print(nextStep(args, true));
        return status;
      }
      return runOnOwnStack(dataDir, plan, seed, args, signal);
    });
  },
};

async function runOnOwnStack(
  dataDir: string,
  plan: DemoPlan,
  seed: number,
  args: Arguments,
  signal: AbortSignal,
): Promise<Stoppable | number> {
  const started = performance.now();
  let note: (line: string) => void = print;
  const stack: Stack = await startStack({
    dataDir,
    workers: 1,
    port: integer(args, 'port', 0, 65_535),
    signal,
    onEvent: (event) => note(describe(event)),
  });
  const logs = showLogs(stack.logs, 'warn', (line) => note(line));
  print(
    `The stack is up after ${duration((performance.now() - started) / 1000)}: API and dashboard at ${stack.origin}.`,
  );
  const stop = async (): Promise<void> => {
    await stack.stop();
    logs.close();
  };
  try {
    const status = await showDemo(stack, plan, seed, args, signal, (write) => {
      note = write;
    });
    if (args.options.exit || signal.aborted) {
      await stop();
      if (signal.aborted) return 130;
      print(nextStep(args, false));
      return status;
    }
  } catch (error) {
    await stop();
    throw error;
  }
  print(paint('bold', '\nThe stack stays up. Ctrl-C ends it.'));
  print(nextStep(args, true));
  return {
    stop: async () => {
      print('\nStopping.');
      await stop();
    },
    kill: stack.kill,
  };
}

/** Runs the demo on a stack; returns the exit status. */
async function showDemo(
  address: StackAddress,
  plan: DemoPlan,
  seed: number,
  args: Arguments,
  signal: AbortSignal,
  onNotes: (write: (line: string) => void) => void,
): Promise<number> {
  const client = createClient(address);
  const openai = openaiClient(address);
  const base = await ensureBase(client, text(args, 'base'));
  const ids = await uploadFiles(openai, client, plan.files);
  const runs = await submitRuns(openai, plan, ids, seed);
  const link = await client.call('createLoginLink');
  print(`Base model ${base}, ${plan.files.length} files uploaded, ${runs.length} runs queued (seed ${seed}).`);
  print(`Watch them in a browser: ${link.url}\n`);

  const states = runs.map(({ id, method }) => watched(method.label, { id }, plan.steps));
  const bars = showBars(states);
  onNotes(bars.note);
  try {
    await Promise.all(states.map((state) => watchRun(address, state, signal)));
  } finally {
    bars.close();
    onNotes(print);
  }
  if (signal.aborted) {
    print('\nNot finished. The runs stay where they are and go on with the next start of the stack.');
    return 130;
  }
  const reports = await Promise.all(runs.map(({ id, method }) => reportOf(client, id, method, ids)));
  showReports(reports);
  print(`\n${paint('bold', 'The same models, asked over chat/completions')}\n\n${await askEach(openai, reports)}`);
  const { url } = await client.call('createLoginLink');
  print(`\n${paint('bold', 'Dashboard')}  ${url}   (opens one browser, once)\n`);
  print(snippets());

  const { isGood, problems } = verdict(reports, args.options.short === true);
  for (const problem of problems) print(paint('red', `\n${problem}`));
  return isGood ? 0 : 1;
}

function showReports(reports: RunReport[]): void {
  const rowsOf = (role: 'heldout' | 'newnames'): number => reports[0]?.after[role]?.rows ?? 0;
  print(`\n${resultTable(reports)}\n`);
  print(legend(reports, rowsOf('heldout'), rowsOf('newnames')));
  print(`\n${paint('bold', 'Three held-out rows, completed greedily')}\n`);
  print(samples(reports));
}
