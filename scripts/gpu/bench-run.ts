/** Runs of `moraine local bench`, each in a process of its own, and how much of the card's memory they took. */
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';

/** The figures of `--json` that are looked at here. */
export interface Figures {
  shape: string;
  method: string;
  mode: string;
  batch: number;
  seq: number;
  steps: number;
  parameters: number;
  tokens_per_second: number | null;
  step_ms_median: number | null;
  step_ms_min: number | null;
  host_share: number | null;
  first_step_ms: number | null;
  decode_tokens_per_second: number | null;
  peak_rss_mb: number;
  losses: number[];
  device: { kind: 'cpu' | 'gpu'; name: string; tensorflow: string };
  versions: Record<string, string>;
}

export interface BenchRun {
  /** Words after `moraine local bench`. */
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  /** Null when the run failed. */
  figures: Figures | null;
  /** What it said when it failed, the last lines. */
  problem: string;
  /** Most that the card held while it ran over what it held before, MB; null where nvidia-smi is not there. */
  cardMb: number | null;
}

const root = resolve(import.meta.dirname, '../..');
const CARD_EVERY_MS = 1000;

/** Runs a program and collects its output. Never rejects. */
export function collect(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ status: number; stdout: string; stderr: string }> {
  return new Promise((done) => {
    const child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', (error) => done({ status: 127, stdout, stderr: error.message }));
    child.once('close', (status) => done({ status: status ?? 128, stdout, stderr }));
  });
}

/** Memory in use on the first visible card, MB, or null. */
async function cardMemory(): Promise<number | null> {
  const query = ['--query-gpu=memory.used', '--format=csv,noheader,nounits'];
  const { status, stdout } = await collect('nvidia-smi', query);
  const used = Number(stdout.split('\n')[0]);
  return status === 0 && Number.isFinite(used) ? used : null;
}

export async function runBench(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<BenchRun> {
  const before = await cardMemory();
  let most = before;
  let asking = false;
  const watch = setInterval(() => {
    if (before === null || asking) return;
    asking = true;
    cardMemory()
      .then((used) => {
        most = Math.max(most ?? 0, used ?? 0);
        asking = false;
      })
      .catch(() => undefined);
  }, CARD_EVERY_MS);
  const cli = join(root, 'apps/cli/bin/moraine.mjs');
  const { status, stdout, stderr } = await collect(process.execPath, [cli, 'local', 'bench', ...args, '--json'], env);
  clearInterval(watch);
  const line = stdout.trim().split('\n').at(-1) ?? '';
  const figures = status === 0 ? (JSON.parse(line) as Figures) : null;
  const problem = figures === null ? stderr.trim().split('\n').slice(-6).join('\n') : '';
  return { args, env, figures, problem, cardMb: before === null || most === null ? null : most - before };
}
