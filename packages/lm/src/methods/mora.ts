import {
  type MoraConfig,
  type MoraType,
  moraForkForm,
  moraForm,
  mora as moraRow,
  moraSide,
  remoraForm,
  restartedType,
} from '@moraine/contract/methods/mora';
import { unsupported } from '@moraine/contract/methods/stored';
import { loadTf } from '@moraine/engine';
import { type HostTensor, padColumns, padRows } from '../host.js';
import { loraFiles } from './lora.js';
import {
  type AdapterFiles,
  type ExportedAdapter,
  type Method,
  type MethodModule,
  type ReadLayers,
  role,
} from './method.js';
import { groupedOperator, groupsOf, moraAsLora, moraOfRows, moraOperator, typeOfGroups } from './mora-operators.js';
import { peftVariables } from './peft.js';
import { ownOptions, restartedMethod, restarting } from './restart.js';
import { type AdapterSource, checkShape, layersOf, part } from './source.js';

type MoraOptions = Pick<MoraConfig, 'rank' | 'mora_type' | 'mora_all_inputs' | 'restart'>;

export const mora: MethodModule<MoraOptions> = {
  create,
  stored: [{ form: moraForm, read }, { form: moraForkForm, read: readFork }, restartedMethod(remoraForm, create)],
};

/**
 * MoRA: y = x·W0ᵀ + decompress(M · compress(x)) with one trainable square matrix mora_M [R, R], zero at the start.
 * Jiang et al. 2024, arXiv:2405.12130; R = moraSide(in, out, rank, type). There is no scale. As the authors' code does and the
 * paper's equations do not: inputs are padded circularly, halves are rotated instead of neighbours, and the first block is not rotated.
 */
function create(options: MoraOptions): Method {
  if (options.restart === undefined) return createPlain(options);
  // A file says the type whose groups it goes on with.
  return restarting(createGrouped(options), remoraForm, ({ layers: [first] }) => {
    const mora_type = first === undefined ? options.mora_type : typeOfGroups(first.value(GROUPS).data);
    return ownOptions(moraRow.config, { ...options, mora_type });
  });
}

function createPlain(options: MoraOptions): Method {
  const { rank, mora_type: type } = options;
  const update = moraOperator(type, options.mora_all_inputs);
  const ofRows = moraOfRows(type, options.mora_all_inputs);
  return {
    scales: ['mora_M'],
    init: ({ inDim, outDim }) => {
      const side = moraSide(inDim, outDim, rank, type);
      return { mora_M: { shape: [side, side], data: new Float32Array(side * side) } };
    },
    apply: (x, _weight, y0, variables) => loadTf().add(y0, update(x, role(variables, 'mora_M'), y0.shape[1] ?? 0)),
    rows: {
      key: `mora ${type} ${options.mora_all_inputs === true}`,
      scale: 1,
      transposed: ['mora_M'],
      apply: (x, layers) => layers.map(({ outDim, variables }) => ofRows(x, role(variables, 'mora_M'), outDim)),
    },
    toPeft: (adapter) => thinFiles(adapter, type),
    toNative: (adapter) => nativeFiles(adapter, options),
  };
}

const GROUPS = 'mora_groups';

/** ReMoRA: the groups are variables, which a restart sets to those of the next type. */
function createGrouped(options: MoraOptions): Method {
  const method = createPlain(options);
  return {
    ...method,
    frozen: [GROUPS],
    init: (dims, random, restarts = 0) => ({
      ...method.init(dims, random),
      [GROUPS]: { shape: [2], data: groupsOf(restartedType(options.mora_type, restarts)) },
    }),
    apply: (x, _weight, y0, variables) => {
      const update = groupedOperator(x, role(variables, 'mora_M'), role(variables, GROUPS), y0.shape[1] ?? 0);
      return loadTf().add(y0, update);
    },
  };
}

/** A thin type as the LoRA of rank R that it is; smaller layers are padded with zeros to one rank, alpha = rank. */
function thinFiles(adapter: ExportedAdapter, type: MoraType): AdapterFiles | null {
  const rank = Math.max(...adapter.layers.map(({ value }) => value('mora_M').shape[0] ?? 0));
  const pairs = adapter.layers.flatMap(({ name, inDim, outDim, value }) => {
    const pair = moraAsLora(type, value('mora_M'), inDim, outDim);
    return pair === null ? [] : [{ name, a: padRows(pair.a, rank), b: padColumns(pair.b, rank) }];
  });
  return pairs.length === 0 ? null : loraFiles(adapter, pairs, rank, rank);
}

/** Its own form: `<path>.mora_M` [R, R], and a configuration that says everything that is needed to apply it. */
function nativeFiles({ layers, baseName }: ExportedAdapter, options: MoraOptions): AdapterFiles {
  const squares = layers.map(({ name, value }) => ({ name, m: value('mora_M') }));
  return {
    configName: moraForm.configName,
    weightsName: moraForm.weightsName,
    tensors: new Map(squares.map(({ name, m }) => [`${name}.mora_M`, m])),
    config: {
      format: 'moraine-mora',
      format_version: 1,
      base_model_name_or_path: baseName,
      rank: options.rank,
      mora_type: options.mora_type,
      ...(options.mora_all_inputs === true ? { mora_all_inputs: true } : {}),
      side: Object.fromEntries(squares.map(({ name, m }) => [name, m.shape[0]])),
      scale: 1,
      angle_base: 10_000,
      pairing: 'half',
      padding: 'circular',
    },
  };
}

function read(source: AdapterSource): ReadLayers {
  const options = moraForm.options(source.json, source.file);
  const variables = source.tensors();
  const layers = layersOf(source, variables);
  for (const { name, inDim, outDim } of layers) {
    const side = moraSide(inDim, outDim, options.rank, options.mora_type);
    checkShape(source, `${name}.mora_M`, part(source, variables, `${name}.mora_M`), [side, side]);
  }
  return { options, paths: layers.map(({ name }) => name), variables };
}

/**
 * A folder of the authors' fork of PEFT: M is stored twice, as lora_A and lora_B; r is the rank whose budget it matches. Its alpha has no effect
 * there, and none here.
 */
function readFork(source: AdapterSource): ReadLayers {
  const options = moraForkForm.options(source.json, source.file);
  const { rank, mora_type } = options;
  const stored = peftVariables(source, 'MoRA', ['lora_A', 'lora_B']);
  const variables = new Map<string, HostTensor>();
  const layers = layersOf(source, stored);
  for (const { name, inDim, outDim } of layers) {
    const [a, b] = ['lora_A', 'lora_B'].map((each) => part(source, stored, `${name}.${each}`)) as [
      HostTensor,
      HostTensor,
    ];
    const side = moraSide(inDim, outDim, rank, mora_type);
    checkShape(source, `${name}.lora_A`, a, [side, side]);
    if (a.data.length !== b.data.length || a.data.some((value, i) => value !== b.data[i]))
      throw unsupported(source.dir, `lora_A and lora_B of ${name} differ, which in a MoRA are one matrix`);
    variables.set(`${name}.mora_M`, a);
  }
  return { options, paths: layers.map(({ name }) => name), variables };
}
