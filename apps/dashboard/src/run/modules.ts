export interface ModuleGroup {
  name: string;
  /** Layers as ranges: `0–7, 9`; empty for a module outside the layers. */
  layers: string;
  count: number;
}

/** `model.layers.0.self_attn.q_proj` … by what they are, with the layers they are in. */
export function groupModules(paths: readonly string[]): ModuleGroup[] {
  const groups = new Map<string, { layers: number[]; count: number }>();
  for (const path of paths) {
    const found = /\.layers\.(\d+)\.(.+)$/.exec(path);
    const name = found?.[2] ?? path;
    const group = groups.get(name) ?? { layers: [], count: 0 };
    if (found) group.layers.push(Number(found[1]));
    group.count += 1;
    groups.set(name, group);
  }
  return [...groups].map(([name, { layers, count }]) => ({ name, layers: ranges(layers), count }));
}

function ranges(numbers: number[]): string {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  const parts: [number, number][] = [];
  for (const n of sorted) {
    const last = parts.at(-1);
    if (last && last[1] === n - 1) last[1] = n;
    else parts.push([n, n]);
  }
  return parts.map(([from, to]) => (from === to ? String(from) : `${from}–${to}`)).join(', ');
}
