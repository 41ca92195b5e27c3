import type { LazyTensor } from '@moraine/engine';
import { invariant } from '@moraine/engine';
import type { HostTensor } from '@moraine/lm';

const TURN_BYTES = 64 * 2 ** 20;

/**
 * Float32 tensors that are read from the device when they are written to a file, some 64 MB at a time, so that a checkpoint of all weights
 * is never in memory at once. They are to be written in the order of their names, as a safetensors file is.
 */
export function lazyTensors(
  shapes: ReadonlyMap<string, readonly number[]>,
  read: (names: readonly string[]) => ReadonlyMap<string, HostTensor>,
): Map<string, LazyTensor> {
  const turns: string[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const name of [...shapes.keys()].sort()) {
    const size = (shapes.get(name) ?? []).reduce((product, side) => product * side, 4);
    if (bytes + size > TURN_BYTES) {
      turns.push([]);
      bytes = 0;
    }
    turns[turns.length - 1]?.push(name);
    bytes += size;
  }
  let current: readonly string[] = [];
  let held: ReadonlyMap<string, HostTensor> = new Map();
  const lazy = turns.flatMap((turn) =>
    turn.map((name): [string, LazyTensor] => {
      const make = (): Float32Array => {
        if (current !== turn) {
          held = new Map();
          held = read(turn);
          current = turn;
        }
        const tensor = held.get(name);
        invariant(tensor !== undefined, `there is no variable ${name} to write`);
        return tensor.data;
      };
      return [name, { shape: shapes.get(name) ?? [], dtype: 'F32', make }];
    }),
  );
  return new Map(lazy);
}
