import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ggufOfFolder, openServed, type Served } from '@moraine/recipes';
import { LLAMA_VERSION, openLlama } from '../gguf/llama-cpp.js';
import { referencePython } from '../peft/environment.js';

/** One prompt that is asked many times at once. */
export interface Load {
  prompt: readonly number[];
  /** Of every answer. */
  tokens: number;
  /** The adapter of each answer; null is the base. */
  models: readonly (number | null)[];
}

/** What answering a load took. */
export interface Taken {
  /** From the start of the load to the first token of each answer. */
  firstMs: number[];
  seconds: number;
  /** Of the first answer. */
  ids: number[];
}

/** A program that answers. */
export interface Side {
  name: string;
  versions: Record<string, string>;
  answer(load: Load): Promise<Taken>;
  close(): Promise<void>;
}

/** This project's server in this process; `ids` are what adapters are loaded as. */
export async function ours(
  baseDir: string,
  rows: number,
  contextMax: number,
): Promise<Side & { served: Served; ids: string[] }> {
  const served = await openServed({ baseDir, baseName: 'base', adapters: [], rows, contextMax });
  const ids: string[] = [];
  return {
    served,
    ids,
    name: 'Moraine',
    versions: {},
    async answer({ prompt, tokens, models }) {
      const firstMs: number[] = [];
      const begun = performance.now();
      const all = await Promise.all(
        models.map((model) => {
          let isFirst = true;
          const onToken = (): void => {
            if (isFirst) firstMs.push(performance.now() - begun);
            isFirst = false;
          };
          const name = model === null ? 'base' : (ids[model] ?? '');
          // The others keep nothing of earlier prompts.
          return served.begin(name, 1, prompt, { maxNewTokens: tokens, readsWhole: true, onToken }).completion;
        }),
      );
      return { firstMs, seconds: (performance.now() - begun) / 1_000, ids: all[0]?.ids ?? [] };
    },
    close: async () => served.dispose(),
  };
}

/** transformers in a Python process; PEFT's mixed batches where there are adapters. At most `rows` answers are a batch. */
export async function transformers(baseDir: string, rows: number, adapters: readonly string[] = []): Promise<Side> {
  const script = join(import.meta.dirname, 'generate.py');
  const name = adapters.length === 0 ? 'transformers' : 'PEFT';
  return spawned(name, referencePython(), ['-B', script, `${rows}`, baseDir, ...adapters]);
}

/** What `answer.ts` makes of its arguments, in a process of its own. */
export const apart = (name: string, kind: 'ours' | 'llama.cpp', ...args: (string | number)[]): Promise<Side> =>
  spawned(name, process.execPath, [
    '--import',
    'tsx',
    join(import.meta.dirname, 'answer.ts'),
    kind,
    ...args.map(String),
  ]);

/**
 * A program that writes its versions as a line of JSON, then for every line with a load one with what it took. It is stopped while it is not its turn: what waits
 * for work by turning round would slow the others down.
 */
async function spawned(name: string, command: string, args: readonly string[]): Promise<Side> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  // One that is stopped does not see that its input has ended.
  const end = (): boolean => child.kill('SIGKILL');
  process.once('exit', end);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`${name} ended`);
    child.kill('SIGSTOP');
    return JSON.parse(value);
  };
  return {
    name,
    versions: (await next()) as Record<string, string>,
    async answer(load) {
      child.kill('SIGCONT');
      child.stdin.write(`${JSON.stringify(load)}\n`);
      return (await next()) as Taken;
    },
    async close() {
      child.kill('SIGCONT');
      child.stdin.end();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      process.off('exit', end);
    },
  };
}

/** llama.cpp in this process, a sequence for each row of one context. It has no adapters row by row. */
export async function llamaCpp(file: string, rows: number, contextMax: number): Promise<Side> {
  const llama = await openLlama();
  const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
  const threads = cpus().length;
  const context = await model.createContext({ contextSize: contextMax, sequences: rows, threads });
  const sequences = Array.from({ length: rows }, () => context.getSequence());
  return {
    name: 'llama.cpp',
    versions: { 'node-llama-cpp': LLAMA_VERSION },
    async answer({ prompt, tokens, models }) {
      for (const sequence of sequences) await sequence.clearHistory();
      const firstMs: number[] = [];
      const begun = performance.now();
      const all = await Promise.all(
        models.map(async (_, i) => {
          const ids: number[] = [];
          const options = { temperature: 0, yieldEogToken: true };
          for await (const id of sequences[i]?.evaluate([...prompt], options) ?? []) {
            if (ids.length === 0) firstMs.push(performance.now() - begun);
            ids.push(id);
            if (ids.length === tokens) break;
          }
          return ids;
        }),
      );
      return { firstMs, seconds: (performance.now() - begun) / 1_000, ids: all[0] ?? [] };
    },
    async close() {
      await context.dispose();
      await model.dispose();
    },
  };
}

/** Writes a base as GGUF. */
export async function writeGguf(baseDir: string, file: string, dtype: 'F16' | 'F32'): Promise<void> {
  const { pieces } = await ggufOfFolder(baseDir, 'base', dtype);
  const to = openSync(file, 'w');
  for (const piece of pieces()) for (let done = 0; done < piece.length; ) done += writeSync(to, piece, done);
  closeSync(to);
}
