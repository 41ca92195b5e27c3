import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { AppError, METHOD_SPELLINGS, requestOf } from '@moraine/contract';
import type { BenchOptions, BenchResult } from '@moraine/recipes';
import { type Command, integer, noMoreThan, number, oneOf, text } from '../args.js';
import { childEnv } from '../env.js';
import { version } from '../paths.js';
import { METHOD_OPTION, MODE_OPTION, MODES } from '../request-options.js';
import { bytes, labelled, print } from '../terminal.js';
import { BASE_OPTION, JSON_OPTION, pathOf } from './options.js';

const SHAPES = ['260k', '15m', '42m', '135m', '1b'] as const;

export const benchCommand: Command = {
  name: 'local bench',
  forms: ['[--shape NAME | --base DIR] [--data FILE] [--method NAME] [--batch N] [--seq N] [--steps N] [--json]'],
  options: {
    shape: { type: 'string', value: 'NAME', help: `Random weights of a shape: ${SHAPES.join(', ')}; default 15m.` },
    base: { ...BASE_OPTION, help: 'A Hugging Face folder instead of random weights.' },
    data: {
      type: 'string',
      value: 'FILE',
      help: 'JSONL rows of --base’s tokenizer instead of full rows of random tokens.',
    },
    method: METHOD_OPTION,
    rank: { type: 'string', value: 'N', help: 'Rank; default 8. All linear layers are adapted.' },
    batch: { type: 'string', value: 'N', help: 'Rows a step; default 4.' },
    seq: { type: 'string', value: 'N', help: 'Tokens a row; with --data at most so many. Default 256.' },
    steps: {
      type: 'string',
      value: 'N',
      help: 'Steps, the first two of which are not measured; default 12. 0 measures decoding alone.',
    },
    lr: { type: 'string', value: 'RATE', help: 'Learning rate; default 0.001.' },
    mode: MODE_OPTION,
    decode: { type: 'string', value: 'N', help: 'Then decode so many tokens greedily, one row.' },
    seed: { type: 'string', value: 'N', help: 'Seed of weights, rows and adapter; default 0.' },
    json: JSON_OPTION,
  },
  run: async (args) => {
    noMoreThan(args, 0, benchCommand);
    const shape = oneOf(args, 'shape', SHAPES);
    const base = pathOf(args, 'base');
    const dataFile = pathOf(args, 'data') ?? null;
    if (shape !== undefined && base !== undefined)
      throw new AppError('invalid_request', '--shape and --base exclude each other.', { hint: 'Give one of them.' });
    if (dataFile !== null && base === undefined)
      throw new AppError('invalid_request', '--data needs the tokenizer of a base.', { hint: 'Write --base DIR.' });
    const seed = integer(args, 'seed', 0, 2 ** 31 - 1) ?? 0;
    const options: Omit<BenchOptions, 'baseDir'> = {
      adapter: requestOf(text(args, 'method') ?? METHOD_SPELLINGS[0] ?? ''),
      rank: integer(args, 'rank', 1, 1024) ?? 8,
      batch: integer(args, 'batch', 1, 4096) ?? 4,
      seq: integer(args, 'seq', 2, 2 ** 20) ?? 256,
      steps: integer(args, 'steps', 0, 1_000_000) ?? 12,
      learningRate: number(args, 'lr', 0, 10) ?? 1e-3,
      mode: oneOf(args, 'mode', MODES) ?? 'plain',
      decode: integer(args, 'decode', 0, 100_000) ?? 0,
      dataFile,
      seed,
    };
    if (options.steps === 0 && options.decode === 0)
      throw new AppError('invalid_request', '--steps 0 leaves nothing to measure.', { hint: 'Add --decode N.' });
    if (base !== undefined) return measure({ ...options, baseDir: base }, base, args.options.json === true);

    // Written by this process and read by the next one, so that writing is in no figure of it.
    const dir = mkdtempSync(path.join(tmpdir(), 'moraine-bench-'));
    try {
      const { writeRandomBase } = await import('@moraine/recipes');
      writeRandomBase(dir, shape ?? '15m', seed);
      return await measure({ ...options, baseDir: dir }, shape ?? '15m', args.options.json === true);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
};

/** Runs a benchmark in a process of its own and says what it measured. */
async function measure(options: BenchOptions, shape: string, isJson: boolean): Promise<number> {
  const program = fileURLToPath(new URL('./bench-program.js', import.meta.url));
  const child = spawn(process.execPath, [program, JSON.stringify(options)], {
    env: childEnv({}),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (status !== 0) return status ?? 1;
  const measured = JSON.parse(output) as BenchResult;
  const result = { shape, ...measured, versions: { moraine: version(), ...measured.versions } };
  print(isJson ? JSON.stringify(result) : describe(result));
  return 0;
}

function describe(result: BenchResult & { shape: string }): string {
  const { shape, method, batch, seq, steps, mode, device } = result;
  const numbers = result.parameters.toLocaleString('en');
  const rows: [string, string][] = [
    [
      'shape',
      steps === 0
        ? `${shape}, ${numbers} numbers, mode ${mode}`
        : `${shape}, ${method}, ${result.trainable_parameters.toLocaleString('en')} of ${numbers} numbers trained, mode ${mode}`,
    ],
    [
      'device',
      `${device.name}${device.bfloat16 === null ? '' : ` (${device.bfloat16})`}, ${device.threads} threads, TensorFlow ${device.tensorflow}`,
    ],
  ];
  if (result.step_ms_median !== null)
    rows.push(
      ['rows', `${steps} steps of ${batch} rows, ${seq} tokens${result.data === null ? ', random' : ' at most'}`],
      [
        'speed',
        `${result.tokens_per_second?.toFixed(0)} tokens/s, ${result.supervised_per_second?.toFixed(0)} of them supervised`,
      ],
      [
        'step',
        `median ${result.step_ms_median.toFixed(1)} ms, least ${result.step_ms_min?.toFixed(1)} ms; ${(100 * (result.host_share ?? 0)).toFixed(1)} % outside TensorFlow`,
      ],
      ['loss', `${result.loss_first?.toFixed(4)} first, ${result.loss_last10?.toFixed(4)} last`],
    );
  rows.push([
    'start',
    `traced ${result.trace_ms.toFixed(0)} ms (${result.nodes} nodes), loaded ${result.load_ms.toFixed(0)} ms, weights ${result.init_ms.toFixed(0)} ms${result.first_step_ms === null ? '' : `, first step done after ${(result.first_step_ms / 1000).toFixed(2)} s`}`,
  ]);
  if (result.decode_tokens_per_second !== null)
    rows.push(['decode', `${result.decode_tokens_per_second.toFixed(1)} tokens/s`]);
  rows.push(['memory', `${bytes(result.peak_rss_mb * 2 ** 20)} at most`]);
  return labelled(rows);
}
