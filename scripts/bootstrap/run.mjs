// Starting other programs: quietly with their output kept for the case of failure, or in the foreground.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { Stop } from './console.mjs';

const quietEnv = { TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1', CHECKPOINT_DISABLE: '1', NO_UPDATE_NOTIFIER: '1' };
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const statusOf = (status, signal) => status ?? 128 + (constants.signals[signal] ?? 0);

/** npm as it was started, so that the same version runs; else the one on PATH. */
export const npm = () => {
  const cli = process.env.npm_execpath;
  return cli?.endsWith('npm-cli.js') ? [process.execPath, cli] : ['npm'];
};

/** Runs a program to its end, or to `limitMs`, and returns {status, output}. Its output is not shown. */
export function quiet([program, ...args], { cwd, env = {}, limitMs }) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...quietEnv, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    const limit = setTimeout(
      () => {
        output += `\nIt did not end within ${limitMs / 1000} s.\n`;
        child.kill('SIGKILL');
        // What it started may hold its pipes open.
        for (const stream of [child.stdout, child.stderr]) stream.destroy();
      },
      limitMs ?? 2 ** 31 - 1,
    ).unref();
    const forward = (signal) => {
      child.kill(signal);
      child.once('close', () => process.exit(statusOf(null, signal)));
    };
    for (const name of signals) process.on(name, forward);
    child.once('error', (error) => reject(new Stop(`${program} could not be started: ${error.message}`)));
    child.once('close', (status, signal) => {
      clearTimeout(limit);
      for (const name of signals) process.off(name, forward);
      resolve({ status: statusOf(status, signal), output });
    });
  });
}

/** Like `quiet`, but a failure throws with the last lines of the output. */
export async function must(command, options) {
  const { status, output } = await quiet(command, options);
  if (status === 0) return output;
  const said = output.trimEnd().split('\n').slice(-40).join('\n');
  throw new Stop(`${command.map((word) => word.split('/').pop()).join(' ')} failed with status ${status}:\n\n${said}`);
}

/**
 * Hands the terminal to a program and ends as it ends. The program gets a process group of its own: a Ctrl-C reaches this process from
 * the terminal and once more from npm, and the program must see one.
 */
export function foreground([program, ...args], { cwd, env = {} }) {
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, ...quietEnv, ...env },
    stdio: 'inherit',
    detached: true,
  });
  const last = new Map();
  const forward = (signal) => {
    const now = Date.now();
    if (now - (last.get(signal) ?? 0) < 700) return;
    last.set(signal, now);
    child.kill(signal);
  };
  for (const name of signals) process.on(name, forward);
  child.once('error', (error) => {
    process.stderr.write(`${program} could not be started: ${error.message}\n`);
    process.exit(127);
  });
  child.once('exit', (status, signal) => process.exit(statusOf(status, signal)));
}
