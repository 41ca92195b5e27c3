// What the machine must have before anything is downloaded. Everything that is missing is named at once.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statfsSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { Stop } from './console.mjs';

const nodeMin = [20, 19];

/** Checked on every start: it costs nothing. */
export function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > nodeMin[0] || (major === nodeMin[0] && minor >= nodeMin[1])) return;
  throw new Stop(
    `Node ${process.versions.node} is too old: Moraine needs ${nodeMin.join('.')} or newer, 24 is recommended.\n` +
      'Install it from your package manager, with nvm (nvm install 24), or from the Node.js download page.',
  );
}

/** Checked only when something has to be installed. Throws a Stop that names everything that is missing. */
export function requireTools(root) {
  const problems = [...platformProblems(), ...diskProblems(root)];
  const packages = new Set();
  // A compiler and pip are needed once; later only the cache is read.
  if (!hasCachedEngine()) {
    const python = ['python3', 'python'].find((name) => succeeds(name, ['--version']));
    if (process.env.MORAINE_ENGINE_DIR === undefined) {
      if (python === undefined) {
        problems.push('python3 was not found: Moraine fetches TensorFlow with pip.');
        packages.add('python3').add('python3-pip');
      } else if (!succeeds(python, ['-m', 'pip', '--version'])) {
        problems.push(`${python} has no pip: Moraine fetches TensorFlow with it.`);
        packages.add('python3-pip');
      }
    }
    if (!['g++', 'clang++', 'c++'].some((name) => succeeds(name, ['--version']))) {
      problems.push('No C++ compiler was found: one small file is compiled against TensorFlow, once (8 s).');
      packages.add('g++');
    }
  }
  if (problems.length === 0) return;
  const install =
    packages.size === 0 ? '' : `\n\nInstall what is missing with:\n\n  ${installCommand([...packages])}\n`;
  throw new Stop(`Before anything is downloaded:\n\n${problems.map((text) => `  - ${text}`).join('\n')}${install}`);
}

function platformProblems() {
  const name = `${process.platform}-${process.arch}`;
  const supported = 'Supported: Linux x64 and arm64 with glibc 2.28 or newer, macOS on Apple silicon.';
  if (!['linux-x64', 'linux-arm64', 'darwin-arm64'].includes(name)) {
    return [
      `${name} has no TensorFlow build and no embedded servers. ${supported} docker-compose.yml is another road.`,
    ];
  }
  if (process.platform !== 'linux') return [];
  process.report.excludeNetwork = true;
  const glibc = process.report.getReport().header.glibcVersionRuntime;
  const [major = 0, minor = 0] = String(glibc ?? '0')
    .split('.')
    .map(Number);
  if (major > 2 || (major === 2 && minor >= 28)) return [];
  return [`This system has ${glibc === undefined ? 'no glibc (musl?)' : `glibc ${glibc}`}. ${supported}`];
}

function diskProblems(root) {
  const { bavail, bsize } = statfsSync(root);
  const freeGib = (bavail * bsize) / 2 ** 30;
  return freeGib >= 3 ? [] : [`${freeGib.toFixed(1)} GiB are free in ${root}; a first installation takes about 3 GiB.`];
}

/** Whether TensorFlow was installed by this user before: then neither pip nor a compiler is needed. */
export function hasCachedEngine() {
  const cache = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'moraine');
  return ['runtime', 'bindings'].every((kind) => {
    const folder = path.join(cache, kind);
    return existsSync(folder) && readdirSync(folder).some((name) => !name.includes('.'));
  });
}

const succeeds = (program, args) => spawnSync(program, args, { stdio: 'ignore' }).status === 0;

function installCommand(packages) {
  if (process.platform === 'darwin') {
    const python = packages.some((name) => name !== 'g++') ? ['brew install python'] : [];
    return [...python, ...(packages.includes('g++') ? ['xcode-select --install'] : [])].join(' && ');
  }
  const sudo = process.getuid() === 0 ? '' : 'sudo ';
  if (!succeeds('apt-get', ['--version']) && succeeds('dnf', ['--version'])) {
    return `${sudo}dnf install -y ${packages.map((name) => (name === 'g++' ? 'gcc-c++' : name)).join(' ')}`;
  }
  return `${sudo}apt-get update && ${sudo}apt-get install -y ${packages.join(' ')}`;
}
