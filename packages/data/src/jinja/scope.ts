import type { Written } from './bounds.js';
import type { Value } from './values.js';

/** Names and where they are looked up next. */
export class Scope {
  private readonly values = new Map<string, Value>();
  constructor(private readonly outer: Scope | null) {}

  get(name: string): Value | undefined {
    for (let scope: Scope | null = this; scope !== null; scope = scope.outer) {
      const value = scope.values.get(name);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  set(name: string, value: Value): void {
    this.values.set(name, value);
  }
}

/** What the parts of a template need while they are compiled. */
export interface Context {
  /** Names that the template gives values to, and those it is rendered with. */
  names: ReadonlySet<string>;
}

export type Evaluate = (scope: Scope) => Value;
export type Execute = (scope: Scope, out: Written) => void;
