import { loadTf, type Scope, type Tensor } from '@moraine/engine';

/** What a step knows of one variable when it comes to the optimiser, and what each link of the chain hands on. */
export interface Gradient {
  /** The variable. */
  name: string;
  shape: readonly number[];
  /** Gradient of the loss summed over the step's tokens, of the variable's shape. */
  sum: Tensor;
  /** Scalar that the sum is to be multiplied by: 1 / tokens, and what clipping leaves of it. */
  scale: Tensor;
  /** Global norm of the mean gradient of all variables, a scalar. */
  norm: Tensor;
  /** Scalar; a link may give some variables another rate. */
  learningRate: Tensor;
  /** The run's learning rate of the step, a scalar: that of every variable before some are given another. */
  runRate: Tensor;
  /** What links made of the variable's value; absent: they left it alone, and it need not be read. */
  value?: Tensor;
}

/** One link of a chain, as in optax: changes what the next one is given. */
export type Link = (gradient: Gradient, scope: Scope) => Gradient;

/**
 * A rule that updates variables from their gradients: a value, made by a function of its settings. `S` names the scalars that change from
 * step to step beside the learning rate; they are fed, so that a traced step stays the same graph.
 */
export interface Optimizer<S extends string = string> {
  /** What it keeps of every variable, of the variable's shape and zero at the start; stored in checkpoints as `<name>.<slot>`. */
  slots: readonly string[];
  /** The fed scalars of a step, counted from 1. From the host, in double precision. */
  scalarsAt(step: number): Record<S, number>;
  /** Writes the variable and its slots. */
  update(gradient: Gradient, scalars: Readonly<Record<S, Tensor>>, scope: Scope): void;
}

export const slotName = (variable: string, slot: string): string => `${variable}.${slot}`;

/** An optimiser that sees each gradient after the links, which run in the order given. */
export function chain<S extends string>(links: readonly Link[], rule: Optimizer<S>): Optimizer<S> {
  return {
    ...rule,
    update: (gradient, scalars, scope) =>
      rule.update(
        links.reduce((given, link) => link(given, scope), gradient),
        scalars,
        scope,
      ),
  };
}

/** The mean gradient as the links left it. */
export function meanGradient({ sum, scale }: Gradient): Tensor {
  return loadTf().mul(sum, scale) as Tensor;
}
