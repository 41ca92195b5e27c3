import type { MethodConfig } from '@moraine/contract';
import { type Adapter, lora, mora } from '@moraine/lm';

/** The adapter that a resolved configuration asks for; null trains every weight. */
export function adapterOf(config: MethodConfig): Adapter | null {
  switch (config.type) {
    case 'none':
      return null;
    case 'lora': {
      const { rank, alpha, use_rslora: useRslora } = config;
      return { method: lora({ rank, alpha, useRslora }), paths: config.target_modules, dropout: config.dropout };
    }
    case 'mora':
      return {
        method: mora({ rank: config.rank, type: config.mora_type }),
        paths: config.target_modules,
        dropout: config.dropout,
      };
  }
}
