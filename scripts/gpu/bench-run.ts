/** Runs of `moraine local bench`, each in a process of its own, and how much of the card's memory they took. */
import { join, resolve } from 'node:path';
import { runCommand } from '@moraine/engine/install';

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

/** Memory in use on the first visible card, MB, or null. */
async function cardMemory(): Promise<number | null> {
  const query = ['--query-gpu=memory.used', '--format=csv,noheader,nounits'];
  const { status, stdout } = await runCommand('nvidia-smi', query);
  const used = Number(stdout.split('\n')[0]);
  return status === 0 && Number.isFinite(used) ? used : null;
}

export async function runBench(args: readonly string[], env: Record<string, string> = {}): Promise<BenchRun> {
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
  const words = [cli, 'local', 'bench', ...args, '--json'];
  const { status, stdout, stderr } = await runCommand(process.execPath, words, { cwd: root, env });
  clearInterval(watch);
  const line = stdout.trim().split('\n').at(-1) ?? '';
  const figures = status === 0 ? (JSON.parse(line) as Figures) : null;
  const problem = figures === null ? stderr.trim().split('\n').slice(-6).join('\n') : '';
  return { args, env, figures, problem, cardMb: before === null || most === null ? null : most - before };
}
