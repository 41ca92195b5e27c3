import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const place = resolve(import.meta.dirname, '../../.venv/gguf');
export const LLAMA_VERSION = '3.22.1';

/** What is used of node-llama-cpp. */
interface LlamaModel {
  tokenize(text: string, specialTokens?: boolean): number[];
  /** A context of `contextSize` tokens for each of its sequences, default one. */
  createContext(options: { contextSize: number; batchSize?: number; sequences?: number; threads?: number }): Promise<{
    getSequence(): {
      clearHistory(): Promise<void>;
      evaluate(
        tokens: number[],
        options: { temperature: number; yieldEogToken: boolean },
      ): AsyncGenerator<number, void, void>;
    };
    dispose(): Promise<void>;
  }>;
  dispose(): Promise<void>;
}
export interface Llama {
  loadModel(options: { modelPath: string; gpuLayers: number }): Promise<LlamaModel>;
}

/** llama.cpp on the processor, through node-llama-cpp with the ready binary of this platform alone; installed when missing (100 MB, once). */
export async function openLlama(): Promise<Llama> {
  const entry = join(place, 'node_modules/node-llama-cpp/dist/index.js');
  const installed = join(place, 'node_modules/node-llama-cpp/package.json');
  if (!existsSync(installed) || JSON.parse(readFileSync(installed, 'utf8')).version !== LLAMA_VERSION) install();
  const { getLlama, LlamaLogLevel } = await import(entry);
  return getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: LlamaLogLevel.error });
}

function install(): void {
  process.stderr.write(`Installing node-llama-cpp ${LLAMA_VERSION} into .venv/gguf ...\n`);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'package.json'), '{"private": true}\n');
  const binary = `@node-llama-cpp/${process.platform === 'darwin' ? 'mac' : process.platform}-${process.arch}`;
  const packages = [`node-llama-cpp@${LLAMA_VERSION}`, `${binary}@${LLAMA_VERSION}`];
  const options = ['--prefix', place, '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
  execFileSync('npm', ['install', ...options, ...packages], { stdio: 'inherit' });
}
