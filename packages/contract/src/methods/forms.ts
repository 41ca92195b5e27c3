import { doraForm } from './dora.js';
import { graloraForm } from './gralora.js';
import { hiraForm } from './hira.js';
import { loraForm, reloraForm } from './lora.js';
import { missForm } from './miss.js';
import { moraForkForm, moraForm, remoraForm } from './mora.js';
import { oftForm } from './oft.js';
import type { AdapterConfig } from './registry.js';
import type { StoredForm, StoredJson, StoredOptions } from './stored.js';

type Optioned<C> = C extends unknown ? StoredOptions<C> : never;
/** An adapter's method with its numbers, without its layers. */
export type AdapterOptions = Optioned<AdapterConfig>;

/** Every form that an adapter is stored in: one line a method. Not in the rows, so that the pages do not carry them. */
export const FORMS: readonly StoredForm<AdapterOptions>[] = [
  loraForm,
  reloraForm,
  doraForm,
  hiraForm,
  missForm,
  oftForm,
  graloraForm,
  moraForm,
  moraForkForm,
  remoraForm,
];

/** Names of the files that say what adapter a folder holds. */
export const ADAPTER_CONFIG_NAMES: readonly string[] = [...new Set(FORMS.map(({ configName }) => configName))];

/** The form of a folder, by the file of its configuration and what is in it; undefined where it is none that is read. */
export function formOf(configName: string, json: StoredJson): StoredForm<AdapterOptions> | undefined {
  const known = FORMS.filter(
    (form) => form.configName === configName && (form.peftType === undefined || form.peftType === json.peft_type),
  );
  const flagged = known.find(({ peftFlag }) => peftFlag !== undefined && json[peftFlag] === true);
  return flagged ?? known.find(({ peftFlag }) => peftFlag === undefined);
}
