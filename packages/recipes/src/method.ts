import type { MethodConfig } from '@moraine/contract';
import { type Adapter, createMethod } from '@moraine/lm';

/** The adapter that a resolved configuration asks for; null trains every weight. */
export function adapterOf(config: MethodConfig): Adapter | null {
  if (!('target_modules' in config)) return null;
  const restartEvery = 'restart' in config ? config.restart?.every : undefined;
  return { method: createMethod(config), paths: config.target_modules, dropout: config.dropout, restartEvery };
}
