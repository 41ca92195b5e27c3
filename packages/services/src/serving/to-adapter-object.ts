import type { AdapterObject } from '@moraine/contract';
import type { LoadedPlace } from './loaded-places.js';

/** The wire's form of something that was trained, with those of the places that are its own. */
export const toAdapterObject = (
  { name, base, baseSha256, sha256 }: { name: string; base: string; baseSha256: string; sha256: string },
  loaded: readonly LoadedPlace[],
): AdapterObject => ({
  id: name,
  object: 'adapter',
  base,
  sha256,
  processes: loaded.flatMap((one) => (one.sha256 === sha256 && one.baseSha256 === baseSha256 ? one.at : [])),
});
