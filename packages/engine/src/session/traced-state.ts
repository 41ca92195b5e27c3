import { invariant } from '../error.js';
import type { TraceBackend } from '../graph/backend.js';
import type { Entry, Graph } from '../graph/graph.js';
import { typed } from '../graph/kernel.js';
import { sizeOf } from '../graph/sizes.js';
import { loadTf } from '../load.js';
import type { Tensor } from '../raw-ops.js';
import { variableOf } from './check-feeds.js';
import type { Program } from './types.js';

/** Variables of a program as nodes of a graph, shared by all signatures. */
export type Handles = ReadonlyMap<string, Entry>;

interface Update {
  node: string;
  variables: readonly string[];
}

/** The variables in one signature's graph: one read node each, and the updates, which wait for it. */
export class TracedState {
  readonly #reads = new Map<string, Tensor>();
  readonly #updates: Update[] = [];
  readonly #updated = new Set<string>();
  readonly #scattered = new Set<string>();

  constructor(
    readonly graph: Graph,
    readonly backend: TraceBackend,
    readonly program: Program,
    readonly handles: Handles,
  ) {}

  handle(name: string): Entry {
    variableOf(this.program, name);
    return this.handles.get(name) as Entry;
  }

  shapeOf(name: string): readonly number[] {
    return variableOf(this.program, name).shape;
  }

  isRead(name: string): boolean {
    return this.#reads.has(name);
  }

  /** The value from before the call, one tensor however often it is read. */
  read(name: string): Tensor {
    const known = this.#reads.get(name);
    if (known !== undefined) return known;
    invariant(!this.#scattered.has(name), `read variable ${name} before its rows are scattered, or not at all`);
    const made = loadTf().keep(this.backend.tensor(this.readNode(name)));
    this.#reads.set(name, made);
    return made;
  }

  /** A read of its own, after the nodes named. */
  readNode(name: string, after: string[] = []): Entry {
    const handle = this.handle(name);
    const options = { isUnique: true, isUnconditional: true, after };
    const attributes = { dtype: typed(handle.dtype) };
    return this.graph.one('ReadVariableOp', [handle], attributes, this.shapeOf(name), handle.dtype, options);
  }

  /** Notes that the call updates a variable. @throws InvariantError when it must not, or not to that value. */
  claim(name: string, value?: Tensor): void {
    const { shape, isFrozen } = variableOf(this.program, name);
    invariant(!isFrozen, `variable ${name} is frozen and cannot be updated`);
    invariant(!this.#updated.has(name), `variable ${name} is updated twice in one call`);
    invariant(this.graph.branch === undefined, `variable ${name} cannot be updated inside choose()`);
    invariant(
      value === undefined || value.size === sizeOf(shape),
      `variable ${name} cannot take [${value?.shape.join(', ')}]`,
    );
    this.#updated.add(name);
  }

  /** Adds an operation that takes the variables, then `inputs`, and changes the variables; returns its name. */
  update(
    op: string,
    variables: readonly string[],
    inputs: readonly Entry[],
    attributes: Parameters<Graph['add']>[2],
    after: string[] = [],
  ): string {
    const node = `update${this.graph.size}`;
    const handles = variables.map((name) => this.handle(name));
    this.graph.add(op, [...handles, ...inputs], attributes, [], { name: node, after });
    this.#updates.push({ node, variables });
    return node;
  }

  /** Counts a node of the caller's among the updates of a variable. */
  noteUpdate(node: string, variable: string): void {
    this.#updates.push({ node, variables: [variable] });
  }

  /** The variable's value from before is overwritten by this call, so that it cannot be read any more. */
  forbidRead(name: string): void {
    this.#scattered.add(name);
  }

  /** A tensor as the value that a variable is set to. */
  valueFor(name: string, value: Tensor): Entry {
    const entry = this.graph.reshape(this.backend.entry(value), this.shapeOf(name));
    // An assignment adopts the buffer that it is given. A feed's belongs to JavaScript, and freeing it elsewhere hangs the process; another
    // variable's may be written in place.
    if (entry.isBorrowed !== true) return entry;
    const attributes = { T: typed(this.handle(name).dtype) };
    return this.graph.one('DeepCopy', [entry], attributes, entry.shape, entry.dtype, { isUnique: true });
  }

  /** Makes every update wait for the reads of what it changes; returns the names of the updates. */
  finish(): string[] {
    for (const { node, variables } of this.#updates) {
      const reads = variables.flatMap((name) => this.#reads.get(name) ?? []);
      this.graph.waitFor(
        node,
        reads.map((tensor) => this.backend.entry(tensor).ref),
      );
    }
    for (const tensor of this.#reads.values()) tensor.dispose();
    return this.#updates.map(({ node }) => node);
  }
}
