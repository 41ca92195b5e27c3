import { gatherRows, invariant, loadTf, statelessRandomUniform, type Tensor } from '@moraine/engine';
import type { Method } from './methods/method.js';
import { embedding, frozenLinear, linear } from './ops.js';

/**
 * What the model sees of its weights. Names and paths are those of Hugging Face; the model does not know that adapters exist.
 * Weights are [out, in].
 */
export interface Net {
  /** A weight by full name, for example `model.norm.weight`. */
  get(name: string): Tensor;
  /** Whether a gradient of that weight is wanted. */
  trains(name: string): boolean;
  /** x [N, in] through the linear layer at `path` -> [N, out]. */
  linear(path: string, x: Tensor): Tensor;
  /** The same x through several layers, in their order. */
  linears(paths: readonly string[], x: Tensor): Tensor[];
  /** Rows `ids` int32 [N] of the table at `path` -> [N, C]. */
  gather(path: string, ids: Tensor): Tensor;
  /** Zeroes entries and scales the rest up, while training; the same (seed, site) gives the same mask. */
  dropout(x: Tensor, site: number): Tensor;
  /** What the weights of attention in a layer are multiplied by, of their shape: 0 or 1/(1 - p). Undefined where none is dropped. */
  attentionKeep(layer: number, shape: number[]): Tensor | undefined;
}

/** What is dropped in a pass. */
export interface Dropout {
  /** Share of adapter inputs set to zero. */
  rate: number;
  /** Share of the weights of attention set to zero; absent: none. */
  attention?: number | undefined;
  /** int32 [2], of this pass. */
  seed: Tensor;
}

/** One adapted linear layer: its variables by role (`lora_A`, `mora_M`), its dropout site. */
export interface AdaptedLinear {
  variables: Record<string, Tensor>;
  site: number;
}

export interface NetOptions {
  /** Weights by name: a map of tensors, or what reads the variables of a program. */
  weights: { get(name: string): Tensor | undefined };
  /** Weights that are trained themselves (full fine-tuning), by name; they come before `weights`. */
  trained?: ReadonlyMap<string, Tensor>;
  /** Adapted layers by path, all of one method. */
  adapted?: ReadonlyMap<string, AdaptedLinear>;
  method?: Method;
  /** Absent outside training. */
  dropout?: Dropout;
}

/** A net over tensors that somebody else owns; it creates nothing but the results of a pass. */
export function createNet({ weights, trained = new Map(), adapted, method, dropout }: NetOptions): Net {
  const get = (name: string): Tensor => {
    const tensor = trained.get(name) ?? weights.get(name);
    invariant(tensor !== undefined, `the weights hold no tensor ${name}`);
    return tensor;
  };
  const plain = (path: string, x: Tensor): Tensor => {
    const name = `${path}.weight`;
    return trained.has(name) ? linear(x, get(name)) : frozenLinear(x, get(name));
  };
  const net: Net = {
    get,
    trains: (name) => trained.has(name),
    gather: (path, ids) => {
      const name = `${path}.weight`;
      return trained.has(name) ? embedding(get(name), ids) : gatherRows(get(name), ids);
    },
    linear: (path, x) => {
      const y = plain(path, x);
      const adapter = adapted?.get(path);
      if (adapter === undefined || method === undefined) return y;
      return method.apply(net.dropout(x, adapter.site), get(`${path}.weight`), y, adapter.variables);
    },
    linears: (paths, x) => {
      const adapters = paths.flatMap((path) => adapted?.get(path) ?? []);
      const isShared = paths.length > 1 && (dropout?.rate ?? 0) === 0 && adapters.length === paths.length;
      if (!isShared || method?.applyAll === undefined) return paths.map((path) => net.linear(path, x));
      return method.applyAll(
        x,
        adapters.map(({ variables }, i) => ({ variables, y0: plain(paths[i] ?? '', x) })),
      );
    },
    dropout: (x, site) =>
      dropout === undefined || dropout.rate === 0
        ? x
        : loadTf().mul(x, keepMask(x.shape, dropout.rate, dropout.seed, site)),
    attentionKeep: (layer, shape) =>
      dropout?.attention ? keepMask(shape, dropout.attention, dropout.seed, ATTENTION_SITE + layer) : undefined,
  };
  return net;
}

/** Sites of attention come after those of all linear layers. */
const ATTENTION_SITE = 2 ** 20;

/** Counter-based dropout, 0 or 1/(1 - rate): the mask depends on (seed, site) and the shape alone. */
function keepMask(shape: number[], rate: number, seed: Tensor, site: number): Tensor {
  const tf = loadTf();
  const siteSeed = tf.add(seed, tf.tensor1d([0, site], 'int32'));
  const kept = tf.cast(tf.greaterEqual(statelessRandomUniform(shape, siteSeed), rate), 'float32');
  return tf.mul(kept, 1 / (1 - rate));
}
