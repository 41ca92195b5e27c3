import { readFileSync } from 'node:fs';

/** Instruction sets that multiply bfloat16, as Linux names them; the faster ones first. */
const BFLOAT16 = ['amx_bf16', 'avx512_bf16', 'bf16'] as const;

/**
 * The instruction set by which this machine's processor multiplies bfloat16; null where it has none, or where the system does not say
 * (no /proc/cpuinfo). With one, mode `bf16` is faster than float32; without, slower.
 */
export function bfloat16Instructions(file = '/proc/cpuinfo'): string | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return null;
  }
  // x86 says "flags", ARM "Features"; every core has a line of its own and the first is enough.
  const features = new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1]?.split(/\s+/));
  return BFLOAT16.find((name) => features.has(name)) ?? null;
}
