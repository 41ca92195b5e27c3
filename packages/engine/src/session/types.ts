import type { TensorDtype } from '../dtype.js';
import type { Tensor } from '../raw-ops.js';

/**
 * How a program's numbers are computed. `plain`: traced into a TensorFlow graph and replayed. `xla`: the same, compiled by XLA. `bf16`: the
 * same with frozen matrices kept and multiplied in bfloat16. `eager`: run operation by operation; slow, the oracle of the others.
 * They differ in the last bits, and `xla` in what it draws at random, so a run keeps the mode that it began with.
 */
export type NumericMode = 'plain' | 'xla' | 'bf16' | 'eager';

/** Where in a safetensors file a tensor's bytes are. */
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

/** What a signature takes, by name. */
export type Feeds = Readonly<Record<string, Feed>>;

/** The tensors that feeds become in a signature. */
export type FedTensors<F extends Feeds> = { readonly [K in keyof F]: Tensor };

/** One of TensorFlow's own updates (`ResourceApply…`), which does in one pass over memory what would take several operations. */
export interface FusedUpdate {
  /** Its registered name. */
  op: string;
  /** The variables that it takes first, in its order, and changes; all float32 of one shape. */
  variables: readonly string[];
  /** What the first variable is set to before; absent: what it is. */
  start?: Tensor | undefined;
  /** What it takes after the variables, in its order: float32 scalars, and tensors of as many numbers as the variables have. */
  inputs: readonly (Tensor | number)[];
  /** Attributes besides its type. */
  flags?: Readonly<Record<string, boolean>>;
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
   * Updates variables by an operation made for it. Absent in eager mode, which is the oracle: there the same is composed of `read` and
   * `assign`.
   */
  fused?(update: FusedUpdate): void;
  /**
   * Writes rows [N, ...] at indices int32 [N] of a variable's first axis and gives the whole variable as it is afterwards, which is for use
   * inside this call. A caller that wants the value from before as well reads it first.
   */
  scatterRows(name: string, indices: Tensor, rows: Tensor): Tensor;
  /** Writes rows `from` int32 [N] of a variable's first axis over its rows `to` int32 [N]; no row is among both. */
  copyRows(name: string, from: Tensor, to: Tensor): void;
}

/**
 * One way to call a program: plain tfjs code over its feeds and the program's variables. It reads no values, branches on none and makes
 * tensors only by operations, so that it runs eagerly and traced alike. Returns the tensors that the caller wants back.
 */
export interface Signature<F extends Feeds = Feeds> {
  feeds: F;
  /** False: mode `xla` leaves this one uncompiled, because it runs seldom or gains nothing. */
  isCompiled?: boolean;
  build(feeds: FedTensors<F>, scope: Scope): Record<string, Tensor>;
}

/** The same signature: TypeScript infers what `build` is given from `feeds`, so that a feed that is not there does not compile. */
export const signature = <F extends Feeds>(made: Signature<F>): Signature<F> => made;

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
   * Runs a signature and brings its outputs to the host, or those that are wanted alone: in a graph others are not computed. Blocks until they are there.
   * A traced call that fails half way may have done some of its updates already; an eager one has done none.
   * @throws EngineError `unknown_signature`, `unknown_output`, `bad_feed` (a missing, unknown or wrongly sized feed), `out_of_memory`, `run_failed`.
   */
  run(
    signature: string,
    feeds: Readonly<Record<string, FeedValue>>,
    wanted?: readonly string[],
  ): Record<string, FetchedValue>;
  /** Copies of variables by name. */
  read(names: readonly string[]): Map<string, HostTensor>;
  /** Overwrites variables. @throws EngineError `bad_feed` naming a variable that is not there or has another shape. */
  write(values: ReadonlyMap<string, HostTensor>): void;
  dispose(): void;
}
