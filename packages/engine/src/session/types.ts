import type { TensorDtype } from '../dtype.js';
import type { Tensor } from '../raw-ops.js';

/**
 * How a program's numbers are computed. `plain`: traced into a TensorFlow graph and replayed. `xla`: the same, compiled by XLA. `bf16`: the
 * same with frozen matrices kept and multiplied in bfloat16. `eager`: run operation by operation; slow, the oracle of the others.
 * They differ in the last bits, so a run keeps the mode that it began with.
 */
export type NumericMode = 'plain' | 'xla' | 'bf16' | 'eager';

/** Where in a safetensors file a tensor's bytes lie. */
export interface FileSlice {
  path: string;
  /** First byte in the file, and how many. */
  offset: number;
  bytes: number;
  /** Type in the file: F32, F16, BF16 or F64; the variable holds it as float32 (frozen matrices in mode `bf16`: as bfloat16). */
  dtype: TensorDtype;
}

export interface VariableSpec {
  shape: readonly number[];
  /** First value: bytes of a file, read without passing through JavaScript. Absent: zeros. */
  from?: FileSlice;
  /** Never written by a signature. */
  isFrozen?: boolean;
}

/** What one call of a signature takes: fixed shape and type. */
export interface Feed {
  shape: readonly number[];
  dtype: 'float32' | 'int32';
}

export interface AdamScalars {
  /** Learning rate. Scalars all, so that a traced step stays the same graph from step to step. */
  learningRate: Tensor;
  /** 1 - beta1^t, from the host: in float32, 1 - 0.999 is 5e-5 off. */
  correction1: Tensor;
  /** sqrt(1 - beta2^t) */
  rootCorrection2: Tensor;
}

export interface AdamHyper {
  beta1: number;
  beta2: number;
  eps: number;
}

/** Names of a trained variable and of its two moments. */
export interface AdamSlot {
  value: string;
  moment1: string;
  moment2: string;
}

/**
 * The state as a signature's code sees it. Reads give the value from before the call; updates take effect when it ends, whatever the order
 * they are written in. One update a variable and call.
 */
export interface Scope {
  /** A variable's value. */
  read(name: string): Tensor;
  assign(name: string, value: Tensor): void;
  assignAdd(name: string, value: Tensor): void;
  /**
   * One step of Adam as PyTorch computes it (Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1; eps after the bias correction). `decay`, a
   * scalar such as 1 - learning rate x weight decay, is multiplied into the value first (decoupled decay, arXiv:1711.05101).
   */
  adam(slot: AdamSlot, grad: Tensor, scalars: AdamScalars, hyper: AdamHyper, decay?: Tensor): void;
  /**
   * Writes rows [N, ...] at indices int32 [N] of a variable's first axis and gives the whole variable as it is afterwards, which is for use
   * inside this call. Whoever wants the value from before as well reads it first.
   */
  scatterRows(name: string, indices: Tensor, rows: Tensor): Tensor;
}

/**
 * One way to call a program: plain tfjs code over its feeds and the program's variables. It reads no values, branches on none and makes
 * tensors only by operations, so that it runs eagerly and traced alike. Answers the tensors that the caller wants back.
 */
export interface Signature {
  feeds: Readonly<Record<string, Feed>>;
  /** False: mode `xla` leaves this one uncompiled, because it runs seldom or gains nothing. */
  isCompiled?: boolean;
  build(feeds: Readonly<Record<string, Tensor>>, scope: Scope): Record<string, Tensor>;
}

/** Signatures over one set of variables. All are known before the first runs: a session cannot be extended. */
export interface Program {
  variables: ReadonlyMap<string, VariableSpec>;
  signatures: Readonly<Record<string, Signature>>;
}

export type FeedValue = Int32Array | Float32Array | number;
export type FetchedValue = Float32Array | Int32Array;

/** A float32 tensor on the host, row-major. */
export interface HostTensor {
  shape: number[];
  data: Float32Array;
}

export interface SessionTimings {
  /** Tracing of all signatures, writing and loading the graph, reading the weights; milliseconds. */
  traceMs: number;
  loadMs: number;
  initMs: number;
  /** Nodes of the graph; 0 in eager mode. */
  nodes: number;
  /** Spent in TensorFlow by the calls so far, milliseconds: grows with every call. The rest of a step's time is the host's. */
  readonly runMs: number;
}

export interface Session {
  readonly mode: NumericMode;
  readonly timings: SessionTimings;
  /**
   * Runs a signature and brings its outputs to the host; blocks until they are there.
   * A traced call that fails half way may have done some of its updates already; an eager one has done none.
   * @throws EngineError `unknown_signature`, `bad_feed` (a missing, unknown or wrongly sized feed), `out_of_memory`, `run_failed`.
   */
  run(signature: string, feeds: Readonly<Record<string, FeedValue>>): Record<string, FetchedValue>;
  /** Copies of variables by name. */
  read(names: readonly string[]): Map<string, HostTensor>;
  /** Overwrites variables. @throws EngineError `bad_feed` naming a variable that is not there or has another shape. */
  write(values: ReadonlyMap<string, HostTensor>): void;
  dispose(): void;
}
