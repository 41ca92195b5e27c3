import { InvariantError, invariant } from '../error.js';
import type { Attributes, GraphDtype } from './attributes.js';
import { constantBytes, uniformValue } from './constant-values.js';
import { type GraphNode, type GraphSignature, writeSavedModel } from './saved-model-file.js';
import { sizeOf } from './sizes.js';

/** One output of a node, as a symbol: what a tensor is while a signature is traced. */
export interface Entry {
  /** `node` or `node:output`. */
  readonly ref: string;
  readonly shape: readonly number[];
  readonly dtype: GraphDtype;
  /** The number that all its elements are, where that is known. */
  readonly uniform?: number;
  /** May be the memory of a feed, which belongs to the caller, or of a variable. */
  readonly isBorrowed?: boolean;
  /** Follows from constants alone. */
  readonly isConstant?: boolean;
  /** The conditional branch that it exists in; it has no value elsewhere. */
  readonly branch?: Branch;
}

/** One side of a conditional. Whatever is added while it is open happens only when its pivot is alive. */
export interface Branch {
  readonly pivot: Entry;
  readonly parent: Branch | undefined;
}

export interface OutputSpec {
  readonly shape: readonly number[];
  readonly dtype: GraphDtype;
}

export interface NodeOptions {
  name?: string;
  /** Nodes that must have run before, by name. */
  after?: readonly string[];
  /** Acts on state or must not be merged with an equal node. */
  isUnique?: boolean;
  /** Happens whether or not the open branch is taken. */
  isUnconditional?: boolean;
  device?: string;
}

/** The most elements of a value that is computed on every run although only one side of a conditional needs it. */
const HOISTED_MAX = 2 ** 14;

const nodeOf = (ref: string): string => ref.split(':', 1)[0] ?? ref;

/** Nodes that append themselves in order, and the signatures that name some as inputs and outputs. */
export class Graph {
  readonly #nodes: GraphNode[] = [];
  readonly #byName = new Map<string, GraphNode>();
  readonly #signatures = new Map<string, GraphSignature>();
  readonly #constants = new Map<string, Entry>();
  #equal = new Map<string, readonly Entry[]>();
  #branch: Branch | undefined;
  #sectionStart = 0;

  get size(): number {
    return this.#nodes.length;
  }

  /**
   * Appends a node, or finds an equal one of this section; returns its outputs. What follows from constants and is small is in no branch, so that
   * all conditionals share it.
   */
  add(
    op: string,
    inputs: readonly Entry[],
    attributes: Attributes,
    outputs: readonly OutputSpec[],
    options: NodeOptions = {},
  ): Entry[] {
    const isConstant = options.isUnique !== true && inputs.length > 0 && inputs.every((input) => input.isConstant);
    const isOutside = options.isUnconditional === true || (isConstant && isHoisted(op, inputs, outputs, options));
    const branch = isOutside ? undefined : this.#branch;
    const after = [...(options.after ?? [])];
    for (const input of inputs) this.#checkReach(op, input);
    if (branch !== undefined && !inputs.some((input) => input.branch === branch)) after.push(nodeOf(branch.pivot.ref));
    const isMerged = options.isUnique !== true && options.name === undefined;
    const key = isMerged
      ? [op, ...inputs.map(({ ref }) => ref), '^', ...after, JSON.stringify(attributes)].join(' ')
      : '';
    const known = isMerged ? this.#equal.get(key) : undefined;
    if (known !== undefined) return [...known];
    const name = options.name ?? `n${this.#nodes.length}`;
    const node: GraphNode = {
      op,
      name,
      inputs: inputs.map(({ ref }) => ref),
      after,
      attributes: { ...attributes },
      device: options.device,
    };
    this.#nodes.push(node);
    this.#byName.set(name, node);
    const isBorrowed = lenders.has(op) || (aliases.has(op) && inputs.some((input) => input.isBorrowed === true));
    const entries = outputs.map(({ shape, dtype }, i) => ({
      ref: i === 0 ? name : `${name}:${i}`,
      shape,
      dtype,
      branch,
      isBorrowed,
      isConstant,
    }));
    if (isMerged) this.#equal.set(key, entries);
    return entries;
  }

  /** `add` for an operation with one output. */
  one(
    op: string,
    inputs: readonly Entry[],
    attributes: Attributes,
    shape: readonly number[],
    dtype: GraphDtype,
    options?: NodeOptions,
  ): Entry {
    const [entry] = this.add(op, inputs, attributes, [{ shape, dtype }], options);
    invariant(entry !== undefined, `${op} has no output`);
    return entry;
  }

  /** Makes a node wait for others, named by their entries or by name. */
  waitFor(node: string, others: readonly string[]): void {
    this.#byName.get(nodeOf(node))?.after.push(...others.map(nodeOf));
  }

  /** A constant; equal small ones are one node, large uniform ones are filled in when they are needed. */
  constant(values: ArrayLike<number>, shape: readonly number[], dtype: GraphDtype): Entry {
    const isSmall = values.length <= 64;
    const key = isSmall
      ? `${dtype} ${shape.join()} ${Array.prototype.map.call(values, (v) => (Object.is(v, -0) ? '-0' : v)).join()}`
      : '';
    const known = isSmall ? this.#constants.get(key) : undefined;
    if (known !== undefined) return known;
    const uniform = uniformValue(values);
    if (!isSmall && uniform !== undefined) return this.fill(shape, uniform, dtype);
    const value = { dtype, shape, bytes: constantBytes(values, dtype) };
    const options = { isUnique: true, isUnconditional: true };
    const entry = {
      ...this.one('Const', [], { dtype: { type: dtype }, value: { constant: value } }, shape, dtype, options),
      uniform,
      isConstant: true,
    };
    if (isSmall) this.#constants.set(key, entry);
    return entry;
  }

  /** int32 vector, the usual way to give a shape, axes or permutations to an operation. */
  ints(values: readonly number[]): Entry {
    return this.constant(values, [values.length], 'int32');
  }

  scalar(value: number, dtype: GraphDtype = 'int32'): Entry {
    return this.constant([value], [], dtype);
  }

  fill(shape: readonly number[], value: number, dtype: GraphDtype): Entry {
    const inputs = [this.ints(shape), this.scalar(value, dtype)];
    return {
      ...this.one('Fill', inputs, { T: { type: dtype }, index_type: { type: 'int32' } }, shape, dtype),
      uniform: value,
    };
  }

  cast(x: Entry, dtype: GraphDtype): Entry {
    if (x.dtype === dtype) return x;
    return this.one(
      'Cast',
      [x],
      { SrcT: { type: x.dtype }, DstT: { type: dtype }, Truncate: { bool: false } },
      x.shape,
      dtype,
    );
  }

  reshape(x: Entry, shape: readonly number[]): Entry {
    if (x.shape.length === shape.length && x.shape.every((size, i) => size === shape[i])) return x;
    invariant(sizeOf(x.shape) === sizeOf(shape), `[${x.shape.join(', ')}] cannot be reshaped to [${shape.join(', ')}]`);
    return this.one(
      'Reshape',
      [x, this.ints(shape)],
      { T: { type: x.dtype }, Tshape: { type: 'int32' } },
      shape,
      x.dtype,
    );
  }

  /** Begins a part whose equal nodes may be merged with each other but not with those before. */
  startSection(): void {
    this.#equal = new Map();
    this.#sectionStart = this.#nodes.length;
  }

  /** Sets attributes on every node of the section that computes something. */
  markSection(attributes: Attributes): void {
    for (const node of this.#nodes.slice(this.#sectionStart)) {
      if (node.op !== 'Placeholder' && node.op !== 'Const' && node.op !== 'VarHandleOp')
        Object.assign(node.attributes, attributes);
    }
  }

  /** Joins the two sides of a conditional: the value of the side that ran. */
  mergeBranches(sides: readonly Entry[], outputs: readonly OutputSpec[], parent: Branch | undefined): Entry[] {
    const attributes: Attributes = { T: { type: outputs[0]?.dtype ?? 'float32' }, N: { int: sides.length } };
    const loose = sides.map((side) => ({ ...side, branch: parent }));
    const merged = this.add('Merge', loose, attributes, outputs, { isUnique: true, isUnconditional: true });
    return merged.map((entry) => ({ ...entry, branch: parent }));
  }

  /** What `build` adds belongs to the branch. */
  within<T>(branch: Branch, build: () => T): T {
    const outer = this.#branch;
    this.#branch = branch;
    try {
      return build();
    } finally {
      this.#branch = outer;
    }
  }

  get branch(): Branch | undefined {
    return this.#branch;
  }

  signature(name: string, inputs: ReadonlyMap<string, Entry>, outputs: ReadonlyMap<string, Entry>): void {
    this.#signatures.set(name, { inputs, outputs });
  }

  get signatures(): ReadonlyMap<string, GraphSignature> {
    return this.#signatures;
  }

  /** A SavedModel with all nodes. It names no signature: who runs them says the nodes. */
  savedModel(): Buffer {
    return writeSavedModel(this.#nodes);
  }

  #checkReach(op: string, { branch, ref }: Entry): void {
    if (branch === undefined) return;
    for (let open = this.#branch; open !== undefined; open = open.parent) if (open === branch) return;
    throw new InvariantError(
      `${op} takes ${ref}, which was made inside a branch of a conditional: return it from the branch`,
    );
  }
}

/** Whether what follows from constants is computed outside of the branch that needs it. */
const isHoisted = (
  op: string,
  inputs: readonly Entry[],
  outputs: readonly OutputSpec[],
  { after }: NodeOptions,
): boolean =>
  after === undefined &&
  !failing.has(op) &&
  inputs.every(({ branch }) => branch === undefined) &&
  outputs.every(({ shape }) => sizeOf(shape) <= HOISTED_MAX);

/** Operations that fail for some values: in a branch that is not taken they must not. */
const failing = new Set('FloorDiv FloorMod GatherV2 MatrixInverse Qr Svd'.split(' '));

/** Operations whose output is memory that belongs to a feed or a variable. */
const lenders = new Set(['Placeholder', 'ReadVariableOp', 'InplaceUpdate']);

/** Operations whose output may be their input's memory, some of them only where they have nothing to do. */
const aliases = new Set(
  (
    'Identity Reshape Slice StridedSlice Split SplitV Pack Unpack Switch Merge Bitcast Transpose ReverseV2 Tile BroadcastTo PadV2 AddN ' +
    'Sum Mean Max Min Prod'
  ).split(' '),
);
