import { spawn } from 'node:child_process';
import { childEnv } from '../env.js';

export interface CommandResult {
  /** Exit status; 127 when the program does not exist, 128 when a signal ended it. */
  status: number;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** The command is ended after this time and reports status 128. */
  timeoutMs?: number;
}

/** Runs a program without a shell, so paths with spaces need no care, and collects its output. Never rejects. */
export function runCommand(program: string, args: string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: childEnv(options.env),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutMs,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', (error) => resolve({ status: 127, stdout, stderr: error.message }));
    child.once('close', (status, signal) =>
      resolve({ status: status ?? 128, stdout, stderr: signal === null ? stderr : `${stderr}\nended by ${signal}` }),
    );
  });
}
