/** What the contract knows of an optimiser; its arithmetic is `packages/lm/src/optim`. */
export interface OptimizerRow {
  /** Decay of its moments where a request names none. */
  betas: readonly [number, number];
  /** Added to the root of the second moment where a request names none; null: it has none and refuses one. */
  eps: number | null;
  /** Numbers that it keeps of each trained number. */
  slots: number;
  /** Its automatic learning rate as a multiple of AdamW's. */
  rate: number;
}

/** Every optimiser by the name that requests and stored configurations use. */
export const OPTIMIZERS = {
  adamw: { betas: [0.9, 0.999], eps: 1e-8, slots: 2, rate: 1 },
  lion: { betas: [0.9, 0.99], eps: null, slots: 1, rate: 0.2 },
} as const satisfies Record<string, OptimizerRow>;

export type OptimizerName = keyof typeof OPTIMIZERS;
export const OPTIMIZER_NAMES = Object.keys(OPTIMIZERS) as [OptimizerName, ...OptimizerName[]];
