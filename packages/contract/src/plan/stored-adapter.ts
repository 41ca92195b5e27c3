import type { LinearShape, ModelShape } from '../architectures/tensor.js';
import { AppError } from '../errors.js';
import { ADAPTER_CONFIG_NAMES, type AdapterOptions, FORMS, formOf } from '../methods/forms.js';
import { type AdapterConfig, methodRow } from '../methods/registry.js';
import { PEFT_PREFIX, peftName, type StoredForm, type StoredJson, unsupported } from '../methods/stored.js';
import { linearShapes, totalParameters, weightShapes } from './shapes.js';

/** What a folder says of its adapter without its numbers. */
export interface AdapterFolder {
  /** Of the configuration: its name, and what it is called in messages. */
  configName: string;
  file: string;
  json: StoredJson;
  /** Every tensor of the weights file. */
  shapes: ReadonlyMap<string, readonly number[]>;
}

type Numbers = readonly (readonly [name: string, shape: readonly number[]])[];

/** The one of these files that says what adapter a folder holds; a form of its own says more than the exactly equal one beside it. */
export function adapterConfigName(names: readonly string[]): string | undefined {
  const present = FORMS.filter(({ configName }) => names.includes(configName));
  return (present.find(({ peftType }) => peftType === undefined) ?? present[0])?.configName;
}

/** The form of a folder. @throws AppError `unsupported_format` for a `peft_type` that is not read. */
export function requireForm(configName: string, json: StoredJson, file: string): StoredForm<AdapterOptions> {
  const form = formOf(configName, json);
  if (form !== undefined) return form;
  const types = new Set(FORMS.flatMap(({ peftType }) => peftType ?? []));
  throw unsupported(file, `peft_type is ${JSON.stringify(json.peft_type)}: only ${[...types].join(', ')} are read`);
}

export const noAdapter = (dir: string): AppError =>
  new AppError('not_found', `${dir} holds no adapter: neither ${ADAPTER_CONFIG_NAMES.join(' nor ')}.`, {
    hint: "Name the folder of an adapter in PEFT's layout or in a method's own, e.g. OUT/adapter of `local train`.",
  });

/**
 * The configuration of a run that goes on training an adapter: its method, numbers, layers, and what is trained whole beside it.
 * @throws AppError `unsupported_format` for what cannot be trained on, `invalid_value` for an adapter of another base.
 */
export function storedAdapter(folder: AdapterFolder, base: ModelShape): AdapterConfig {
  const { configName, file, json } = folder;
  const form = requireForm(configName, json, file);
  const why = form.untrainable?.(json) ?? null;
  if (why !== null) throw unsupported(file, `no run can go on training it: ${why}`);
  const { own, whole } = partNumbers(folder, form, base);
  const layers = layersOf(file, own, form, base);
  const config: AdapterConfig = {
    ...form.options(json, file),
    target_modules: layers.map(({ name }) => name),
    ...(whole.length > 0 ? { modules_to_save: whole } : {}),
  };
  refuseOtherCount(file, own, form, config, layers, base);
  return config;
}

/** The numbers of the adapter, and the modules that were trained whole, in the model's order. */
function partNumbers({ file, shapes }: AdapterFolder, form: StoredForm, base: ModelShape) {
  const prefix = form.peftType === undefined ? '' : PEFT_PREFIX;
  const weights = weightShapes(base);
  const nameOf = (key: string): string => (key.startsWith(prefix) ? key.slice(prefix.length) : key);
  const tiedHead = base.tieEmbeddings && prefix !== '' ? 'lm_head.weight' : null;
  const own = [...shapes].filter(([key]) => !weights.has(nameOf(key)) && nameOf(key) !== tiedHead);
  const stored = new Set<string>();
  for (const [key, shape] of shapes) {
    const wanted = weights.get(nameOf(key));
    if (wanted !== undefined && wanted.join() !== shape.join())
      throw otherBase(`${file}: ${nameOf(key)} is [${shape.join(', ')}], this base needs [${wanted.join(', ')}].`);
    stored.add(nameOf(key));
  }
  const names = [...weights.keys()].filter((name) => stored.has(name));
  return { own, whole: names.map((name) => name.slice(0, name.lastIndexOf('.'))) };
}

function layersOf(file: string, own: Numbers, form: StoredForm, base: ModelShape): LinearShape[] {
  const pathOf = (name: string): string =>
    form.peftType === undefined ? name.slice(0, name.lastIndexOf('.')) : (peftName(name)?.path ?? name);
  const paths = new Set(own.map(([name]) => pathOf(name)));
  const layers = linearShapes(base).filter(({ name }) => paths.has(name));
  const foreign = [...paths].find((path) => !layers.some(({ name }) => name === path));
  if (foreign !== undefined || layers.length === 0)
    throw otherBase(`${file} adapts ${foreign ?? 'nothing'}, which the base does not have.`);
  return layers;
}

/** A file of other layers, ranks or widths than its configuration and this base make. */
function refuseOtherCount(
  file: string,
  own: Numbers,
  { copies = 1 }: StoredForm,
  config: AdapterConfig,
  layers: readonly LinearShape[],
  base: ModelShape,
): void {
  const row = methodRow(config);
  const trained = row.trainableParameters(config, layers, totalParameters(base));
  const wanted = trained * copies + (row.keptParameters?.(config, layers) ?? 0);
  const found = own.reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b, 1), 0);
  if (found === wanted) return;
  throw otherBase(`${file}: the weights hold ${found} numbers; ${row.label(config)} on this base has ${wanted}.`);
}

const otherBase = (message: string): AppError =>
  new AppError('invalid_value', message, {
    param: 'adapter',
    hint: 'Name the base that the adapter was trained on; only the linear layers of its blocks can be adapted.',
  });
