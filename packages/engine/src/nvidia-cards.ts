import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Card, firstVisibleCard, visibleCards } from './cuda.js';
import { isOrderedByBus, visibleDevices } from './env.js';

/** The machine's NVIDIA cards in the order of the PCI bus, from the driver's own text files; none where there is no driver. */
export function nvidiaCards(root = '/proc/driver/nvidia/gpus'): Card[] {
  try {
    return readdirSync(root)
      .sort()
      .flatMap((slot) => {
        const text = readFileSync(path.join(root, slot, 'information'), 'utf8');
        const name = /^Model:\s*(.+)$/m.exec(text)?.[1]?.trim();
        return name === undefined ? [] : [{ name, uuid: /^GPU UUID:\s*(\S+)/m.exec(text)?.[1] }];
      });
  } catch {
    return []; // No such folder: no NVIDIA driver.
  }
}

/** Name of the card that computes, as CUDA_VISIBLE_DEVICES chooses it; undefined where there is none or it is not known. */
export function nvidiaName(root?: string, setting = visibleDevices()): string | undefined {
  return firstVisibleCard(nvidiaCards(root), visibleCards(setting), isOrderedByBus())?.name;
}
