import { readFileSync } from 'node:fs';
import path from 'node:path';

/** A package as npm recorded it in `node_modules/.package-lock.json`; keys are folders. */
interface Recorded {
  /** A link to a workspace, whose folder is `resolved`. */
  link?: boolean;
  resolved?: string;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
}

/** Packages that a package requires without declaring them; npm happens to put them where they are found. */
const UNDECLARED: Record<string, string[]> = { 'node_modules/@tensorflow/tfjs': ['long', 'seedrandom'] };

export interface ProductionModules {
  /** Folders of workspaces, e.g. `packages/lm`, and where npm links to them from. */
  workspaces: { folder: string; link: string }[];
  /** Folders of npm packages, e.g. `node_modules/zod`. */
  packages: string[];
}

/**
 * What a workspace needs at run time, by the walk that Node's own look-up makes over what npm recorded as installed. Nothing is
 * changed and npm is not asked, so a working tree keeps its packages for development.
 * @param isWanted says no to packages that are left out with whatever only they need.
 */
export function productionModules(
  root: string,
  workspace: string,
  isWanted: (name: string) => boolean = () => true,
): ProductionModules {
  const file = path.join(root, 'node_modules', '.package-lock.json');
  const { packages } = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Recorded> };
  const seen = new Set<string>();
  const visit = (folder: string): void => {
    const recorded = packages[folder];
    if (recorded === undefined || seen.has(folder)) return;
    seen.add(folder);
    for (const name of [...neededBy(recorded), ...(UNDECLARED[folder] ?? [])].filter(isWanted)) {
      const found = lookUp(packages, folder, name);
      if (found === undefined) continue;
      visit(found);
      const { link, resolved } = packages[found] ?? {};
      if (link && resolved !== undefined) visit(resolved);
    }
  };
  visit(workspace);
  const isLink = (folder: string): boolean => packages[folder]?.link === true;
  const linked = [...seen].filter(isLink);
  const links = Object.keys(packages).filter((folder) => packages[folder]?.resolved === workspace);
  return {
    workspaces: [...new Set([...links, ...linked])]
      .map((link) => ({ folder: packages[link]?.resolved ?? '', link }))
      .sort((a, b) => (a.folder < b.folder ? -1 : 1)),
    packages: [...seen].filter((folder) => folder.includes('node_modules/') && !isLink(folder)).sort(),
  };
}

function neededBy({ dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta }: Recorded): string[] {
  const peers = Object.keys(peerDependencies ?? {}).filter((name) => peerDependenciesMeta?.[name]?.optional !== true);
  return [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers];
}

/** The folder that `name` means to a file in `folder`: the nearest node_modules upwards. Optional packages may be nowhere. */
function lookUp(packages: Record<string, Recorded>, folder: string, name: string): string | undefined {
  for (let at = folder; ; ) {
    const candidate = at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`;
    if (packages[candidate] !== undefined) return candidate;
    if (at === '') return undefined;
    at = at.includes('/node_modules/') ? at.slice(0, at.lastIndexOf('/node_modules/')) : '';
  }
}
