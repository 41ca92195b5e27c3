import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runCommand } from '@moraine/engine/install';
import { referencePython } from '../peft/environment.js';

/** Figures that one run of one side printed. */
export type Figures = Record<string, unknown>;

/** One of the programs that take turns. */
export interface Side {
  name: string;
  /** As a person would type it. */
  command: string;
  run(): Promise<Figures>;
}

const root = resolve(import.meta.dirname, '../..');

/** `moraine local bench` with these options. */
export function ours(name: string, options: Record<string, string | number>): Side {
  const words = Object.entries(options).flatMap(([key, value]) => [`--${key}`, String(value)]);
  const bin = join(root, 'apps/cli/bin/moraine.mjs');
  return {
    name,
    command: `npx moraine local bench ${words.join(' ')} --json`,
    run: () => lineOf(process.execPath, [bin, 'local', 'bench', ...words, '--json']),
  };
}

/** A Python program of this folder with its specification. */
export function theirs(name: string, program: string, specFile: string, spec: Figures): Side {
  return {
    name,
    command: `python scripts/bench/${program} ${specFile}`,
    run: () => {
      writeFileSync(specFile, JSON.stringify({ ...spec, started_at: Date.now() / 1000 }));
      return lineOf(referencePython(), [join(import.meta.dirname, program), specFile]);
    },
  };
}

/** The JSON that a program prints as its last line. */
async function lineOf(program: string, words: string[]): Promise<Figures> {
  const { status, stdout, stderr } = await runCommand(program, words);
  const last = stdout.trim().split('\n').at(-1) ?? '';
  if (status === 0 && last.startsWith('{')) return JSON.parse(last) as Figures;
  throw new Error(`${program} ${words.join(' ')} ended with ${status}:\n${stderr.slice(-2000)}`);
}

/** A figure that must be a number. */
export function numberIn(figures: Figures, key: string): number {
  const value = figures[key];
  if (typeof value === 'number') return value;
  throw new Error(`a run printed no number '${key}', but ${JSON.stringify(value)}`);
}
