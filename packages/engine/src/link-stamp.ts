import { readFileSync } from 'node:fs';
import path from 'node:path';

/** What was linked into the npm package, written beside it. */
export interface LinkStamp {
  variant: 'cpu' | 'cuda' | 'own';
  /** What the user asked for; it holds for later starts. */
  wish: 'auto' | 'cpu' | 'cuda';
  /** Version of the locked wheel, or `own` for MORAINE_ENGINE_DIR. */
  tensorflow: string;
  /** Identifies library and lock file; a changed lock means a new installation. */
  key: string;
  /** Identifies our part of the binding; absent in stamps from before there was one. */
  native?: string;
  /** The library that is linked; in a bundle relative to the npm package, so that its folder may be moved. */
  library: string;
  /** What a bundle brought (docs/offline.md); absent where `npm run setup` installed. */
  bundle?: 'full' | 'slim';
}

export const stampFile = (packageDir: string): string => path.join(packageDir, '.moraine-runtime.json');

/** What to do about a damaged runtime: a bundle is unpacked again, a checkout runs `otherwise`. */
export const repairHint = (packageDir: string, otherwise: string): string =>
  readLinkStamp(packageDir)?.bundle === undefined ? otherwise : 'Run `sh install.sh` of the bundle again.';

export function readLinkStamp(packageDir: string): LinkStamp | null {
  try {
    const parsed: unknown = JSON.parse(readFileSync(stampFile(packageDir), 'utf8'));
    return typeof parsed === 'object' && parsed !== null && 'key' in parsed ? (parsed as LinkStamp) : null;
  } catch {
    return null;
  }
}
