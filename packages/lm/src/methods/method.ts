import type { AdapterOptions } from '@moraine/contract/methods/forms';
import type { StoredForm } from '@moraine/contract/methods/stored';
import type { LinearShape } from '@moraine/contract/plan';
import { invariant, type Tensor } from '@moraine/engine';
import type { HostTensor } from '../host.js';
import type { Random } from '../random.js';
import type { AdapterSource } from './source.js';

/** Width of a linear layer: x has `inDim` features, y has `outDim`. */
export interface LinearDims {
  inDim: number;
  outDim: number;
}

/**
 * A training method for one linear layer y = x·W0ᵀ. `apply` must be linear in x: merging is apply(I, W0, W0ᵀ), not a second
 * implementation.
 */
export interface Method {
  /** Starting values of the layer's variables by role, after so many restarts; a fresh adapter changes nothing. */
  init(dims: LinearDims, random: Random, restarts?: number): Record<string, HostTensor>;
  /** Starting values that depend on the weight W0 [out, in]: in place of those of `init`, by role. */
  fit?(weight: HostTensor, random: Random): Record<string, HostTensor>;
  /** The role that keeps the sum of merged updates; with it the method can be restarted. */
  merged?: string;
  /** Roles of variables that are kept with the adapter and not trained. */
  frozen?: readonly string[];
  /** Learning rates of roles as multiples of the run's; 1 where a role is not named. */
  rates?: Readonly<Record<string, number>>;
  /** x [N, in], weight [out, in], y0 = x·W0ᵀ [N, out] -> adapted y [N, out]. */
  apply(x: Tensor, weight: Tensor, y0: Tensor, variables: Readonly<Record<string, Tensor>>): Tensor;
  /** The same for several layers that read one x, where sharing work between them pays. */
  applyAll?(x: Tensor, layers: readonly LayerInput[]): Tensor[];
  /** How adapters of it answer beside others, each row of a batch with its own; absent: only as weights of their own. */
  rows?: RowMethod;
  /** True when `apply` makes y from x and W0 anew instead of adding to y0. */
  ignoresY0?: true;
  /** True when variables that are all zero do not stand for the base alone. */
  needsValues?: true;
  /**
   * Roles that a share λ of the update multiplies: with these times λ the layer computes W0 + λ(W − W0), or what the method has in its place (OFT
   * turns by λ of its angles). Absent: no values of the variables stand for a share.
   */
  scales?: readonly string[];
  /** The adapter as PEFT reads it, exactly equal; null where there is no such form. */
  toPeft(adapter: ExportedAdapter): AdapterFiles | null;
  /** Its own form; absent where that is PEFT's. */
  toNative?(adapter: ExportedAdapter): AdapterFiles;
}

/** A method where each row of a batch has variables of its own. Its numbers are in the variables, so that adapters share it whatever theirs are. */
export interface RowMethod {
  /** Equal for methods that compute alike from variables of equal shapes. */
  key: string;
  /** What the update is multiplied by; `apply` leaves it out, the roles of `scales` are to have it (`rowVariables`). */
  scale: number;
  /** The size that adapters of near sizes share in rows: its method, and a variable of a role as that has it. Absent: each has its own. */
  shared?(variables: ReadonlyMap<string, HostTensor>): {
    method: Method;
    fill(role: string, value: HostTensor): HostTensor;
  };
  /** Roles whose square matrices rows have transposed (`rowVariables`). */
  transposed?: readonly string[];
  /** x [B, T, in], which the layers read, every role stacked to [B, …] -> what is added to the output of each layer, [B, T, out]. Not differentiable. */
  apply(x: Tensor, layers: readonly RowLayer[]): Tensor[];
}

/** A method as its file offers it; the export of `methods/index.ts` bears the name of the contract's row. */
export interface MethodModule<C> {
  /** @param config the method's keys of a stored configuration; those of every adapter are not needed. */
  create(config: C): Method;
  /** What it is stored as; absent where that is another method's form. */
  stored?: StoredMethod | readonly StoredMethod[];
}

export interface StoredMethod {
  form: StoredForm<AdapterOptions>;
  /** An adapter in that form. @throws AppError `unsupported_format`, `invalid_value` when it is of another base. */
  read(source: AdapterSource): ReadLayers;
}

/** What was read: the method with its numbers, and its variables `<path>.<role>` for the layers at `paths`. */
export interface ReadLayers {
  options: AdapterOptions;
  paths: string[];
  variables: Map<string, HostTensor>;
}

/** One layer of several that read the same input. */
export interface LayerInput {
  y0: Tensor;
  variables: Readonly<Record<string, Tensor>>;
}

/** One layer with variables of its own for each row. */
export interface RowLayer {
  outDim: number;
  variables: Readonly<Record<string, Tensor>>;
}

/** An adapter about to be written. */
export interface ExportedAdapter {
  layers: readonly ExportedLayer[];
  baseName: string;
  dropout: number;
  /** What PEFT calls `target_modules`. */
  targetModules: readonly string[];
}

export interface ExportedLayer extends LinearShape {
  /** A variable by role. */
  value(role: string): HostTensor;
}

/** Tensors of one safetensors file and the JSON beside it. */
export interface AdapterFiles {
  configName: string;
  weightsName: string;
  tensors: Map<string, HostTensor>;
  config: Record<string, unknown>;
}

/** A variable of a layer by role. */
export function role<T>(variables: Readonly<Record<string, T>>, name: string): T {
  const tensor = variables[name];
  invariant(tensor !== undefined, `the adapted layer has no ${name}, only ${Object.keys(variables).join(', ')}`);
  return tensor;
}
