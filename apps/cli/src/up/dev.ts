import { spawn } from 'node:child_process';
import { existsSync, readdirSync, watch } from 'node:fs';
import path from 'node:path';
import { repoDir } from '../paths.js';
import { signal } from './processes.js';
import type { Stack } from './supervisor.js';

const SETTLE_MS = 700;
const PROGRAMS = [
  ['apps', 'api'],
  ['apps', 'worker'],
];

type Say = (line: string) => void;
type Parts = Pick<Stack, 'parts'>;
interface Watching {
  close(): void;
}

/** Builds whatever source changes below `root`, and restarts the parts that run it. */
export function watchSources(stack: Parts, say: Say, root = repoDir): Watching {
  const builder = spawn(
    process.execPath,
    [path.join(root, 'node_modules/turbo/bin/turbo'), 'watch', 'build', '--ui=stream', '--output-logs=errors-only'],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], detached: true },
  );
  builder.once('error', (error) => say(`Sources are not watched: ${error.message}`));
  const builds = watchBuilds(stack, say, root);
  return {
    close() {
      builds.close();
      if (builder.pid !== undefined) signal(-builder.pid, 'SIGTERM');
    },
  };
}

/**
 * Restarts the parts that run what was built anew below `root`: the API or the workers for a change of their own, all for a change of a
 * package. The dashboard is served from its build, so a reload shows it.
 */
export function watchBuilds({ parts }: Parts, say: Say, root = repoDir): Watching {
  const changed = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  const restart = (): void => {
    const stale = parts.filter(({ name }) => [...changed].some((room) => runs(name, room)));
    changed.clear();
    say(`Rebuilt: ${stale.map(({ name }) => name).join(', ')} restarted.`);
    for (const part of stale) part.restart().catch((error: unknown) => say(String(error)));
  };
  const rooms = [...readdirSync(path.join(root, 'packages')).map((name) => ['packages', name]), ...PROGRAMS];
  const watchers = rooms
    .map(([group = '', room = '']) => ({ room, dist: path.join(root, group, room, 'dist') }))
    .filter(({ dist }) => existsSync(dist))
    .map(({ room, dist }) =>
      watch(dist, { recursive: true }, (_event, file) => {
        if (file === null || path.extname(file) !== '.js') return;
        changed.add(room);
        clearTimeout(timer);
        timer = setTimeout(restart, SETTLE_MS);
      }),
    );
  return {
    close() {
      clearTimeout(timer);
      for (const watcher of watchers) watcher.close();
    },
  };
}

/** Whether a part runs the code of a room: `worker-1` runs the worker's, and each program every package's. */
function runs(part: string, room: string): boolean {
  const program = PROGRAMS.find(([, name = '']) => part === name || part.startsWith(`${name}-`))?.[1];
  return program !== undefined && (room === program || !PROGRAMS.some(([, name]) => name === room));
}
