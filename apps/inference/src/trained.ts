import { join } from 'node:path';
import { hashTrained, type Served } from '@moraine/recipes';
import { fetchFolder, type ResidentAdapter, type Services, type TunedPlace } from '@moraine/services';

/** What was trained on a base, brought when it is first asked for. */
export interface Trained {
  /** The id by which the engine answers with it, once it does. @throws AppError as `Served.load` does; the next request tries again. */
  idOf(tuned: TunedPlace): Promise<string>;
  /** Brings it, and keeps it in memory for a tenant. @throws AppError as `idOf` does. */
  pin(tenant: string, tuned: TunedPlace): Promise<void>;
  /** It may go again when room is wanted, unless another tenant has pinned it. */
  unpin(tenant: string, tuned: TunedPlace): Promise<void>;
  /** `unpin`, and where no other tenant has pinned it its memory is given back once its last answer has ended. The next request brings it anew. */
  unload(tenant: string, tuned: TunedPlace): Promise<void>;
  resident(): ResidentAdapter[];
}

/**
 * Loads what requests ask for, each once, however many ask at the same time. The library's hash is of a whole folder; the engine's id, of the files
 * that decide what it computes, is found when it is here. Several folders may have one id.
 */
export function trainedOn(s: Services, served: Served, workDir: string): Trained {
  const loading = new Map<string, Promise<string>>();
  const ids = new Map<string, string>();
  const pins = createPins();
  const load = async ({ blobPrefix, sha256 }: TunedPlace, pinned = false): Promise<string> => {
    const dir = await fetchFolder(s, blobPrefix, join(workDir, 'adapters', sha256));
    const id = ids.get(sha256) ?? (await hashTrained(dir));
    await served.load({ id, dir, pinned });
    ids.set(sha256, id);
    return id;
  };
  const unpin = (tenant: string, { sha256 }: TunedPlace): string | null => {
    const id = ids.get(sha256);
    if (id === undefined) return null;
    if (pins.remove(id, { tenant, sha256 })) served.pin(id, false);
    return id;
  };
  return {
    async idOf(tuned) {
      const { sha256 } = tuned;
      const id = ids.get(sha256);
      // The engine may have put it on the disk, or unloaded it, since.
      if (id !== undefined && served.isInMemory(id)) return id;
      const promise = loading.get(sha256) ?? load(tuned).finally(() => loading.delete(sha256));
      loading.set(sha256, promise);
      return promise;
    },
    async pin(tenant, tuned) {
      pins.add(await load(tuned, true), { tenant, sha256: tuned.sha256 });
    },
    async unpin(tenant, tuned) {
      unpin(tenant, tuned);
    },
    async unload(tenant, tuned) {
      const id = unpin(tenant, tuned);
      if (id === null || pins.of(id).length > 0) return;
      // It ends with its last answer, which nobody waits for; one that is not loaded has left already.
      served.unload(id).catch(() => undefined);
    },
    resident: () => {
      const byId = new Map(served.resident().map((one) => [one.id, one]));
      return [...ids].flatMap(([sha256, id]) => {
        const one = byId.get(id);
        const pinnedBy = pins.of(id).flatMap((pin) => (pin.sha256 === sha256 ? pin.tenant : []));
        return one === undefined ? [] : [{ sha256, kind: one.kind, bytes: one.bytes, pinnedBy }];
      });
    },
  };
}

/** Who has pinned what: a tenant, under the hash by which it knows a folder. */
interface Pin {
  tenant: string;
  sha256: string;
}

function createPins() {
  const byId = new Map<string, Pin[]>();
  const of = (id: string): Pin[] => byId.get(id) ?? [];
  const without = (id: string, { tenant, sha256 }: Pin): Pin[] =>
    of(id).filter((pin) => pin.tenant !== tenant || pin.sha256 !== sha256);
  return {
    of,
    add: (id: string, pin: Pin): void => {
      byId.set(id, [...without(id, pin), pin]);
    },
    /** Whether it was the last one of this id. */
    remove(id: string, pin: Pin): boolean {
      const left = without(id, pin);
      const isLast = left.length === 0 && of(id).length > 0;
      if (left.length > 0) byId.set(id, left);
      else byId.delete(id);
      return isLast;
    },
  };
}
