import { join } from 'node:path';
import { hashTrained, type Served } from '@moraine/recipes';
import { fetchFolder, type ResidentAdapter, type ServedModel, type Services } from '@moraine/services';

type Tuned = NonNullable<ServedModel['tuned']>;

/** What was trained on a base, brought when it is first asked for. */
export interface Trained {
  /** The id by which the engine answers with it, once it does. @throws AppError as `Served.load` does; the next request tries again. */
  idOf(tuned: Tuned): Promise<string>;
  resident(): ResidentAdapter[];
}

/**
 * Loads what requests ask for, each once, however many ask at the same time. The library's hash is of a whole folder; the engine's, of the files
 * that decide what it computes, is found when it is here.
 */
export function trainedOn(s: Services, served: Served, workDir: string): Trained {
  const loads = new Map<string, Promise<string>>();
  const ids = new Map<string, string>();
  const load = async ({ blobPrefix, sha256 }: Tuned): Promise<string> => {
    const dir = await fetchFolder(s, blobPrefix, join(workDir, 'adapters', sha256));
    const id = await hashTrained(dir);
    await served.load({ id, dir });
    ids.set(id, sha256);
    return id;
  };
  return {
    idOf(tuned) {
      const known = loads.get(tuned.sha256);
      if (known !== undefined) return known;
      const loading = load(tuned);
      loads.set(tuned.sha256, loading);
      loading.catch(() => loads.delete(tuned.sha256));
      return loading;
    },
    resident: () =>
      served.resident().flatMap(({ id, kind, pinned, bytes }) => {
        const sha256 = ids.get(id);
        return sha256 === undefined ? [] : [{ sha256, kind, pinned, bytes }];
      }),
  };
}
