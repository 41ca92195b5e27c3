import { resolve } from 'node:path';

/** What of an experiment's file is read here. */
export interface Experiment {
  name: string;
  training_file: string;
  evaluation: { validation: string; test?: string; source?: string[]; [key: string]: unknown };
  fixed: Record<string, unknown>;
  arms: { learning_rates?: unknown; data_mix?: { file_id: string }[]; [key: string]: unknown }[];
  data_mix?: { file_id: string }[];
  [key: string]: unknown;
}

const STEPS = 6;
const RATE = 1e-3;

/** The same arms for a few steps, at one rate and one seed: shows that all of it runs, and nothing else. Paths become absolute. */
export function shorten(experiment: Experiment, folder: string): Experiment {
  const { n_epochs: _epochs, ...fixed } = experiment.fixed;
  const { validation, test, source = [], ...evaluation } = experiment.evaluation;
  const at = (file: string): string => resolve(folder, file);
  const mixed = (mix: { file_id: string }[] | undefined) =>
    mix === undefined ? {} : { data_mix: mix.map((one) => ({ ...one, file_id: at(one.file_id) })) };
  return {
    ...experiment,
    ...mixed(experiment.data_mix),
    name: `${experiment.name}-short`,
    training_file: at(experiment.training_file),
    evaluation: {
      ...evaluation,
      validation: at(validation),
      ...(test === undefined ? {} : { test: at(test) }),
      source: source.map(at),
      every_steps: STEPS / 2,
    },
    fixed: {
      ...fixed,
      ...withCheckpoints(fixed),
      max_steps: STEPS,
      batch_size: 4,
      schedule: { type: 'constant', warmup_steps: 0 },
    },
    arms: experiment.arms.map(({ learning_rates: _rates, ...arm }) => ({
      ...arm,
      ...mixed(arm.data_mix),
      ...withRestart(arm.adapter),
      learning_rates: [RATE],
    })),
    seeds: { search: 1, final: [2] },
    lambdas: [],
  };
}

/** A restart that comes within the few steps. */
function withRestart(adapter: unknown): { adapter?: unknown } {
  const isRestarted = typeof adapter === 'object' && adapter !== null && 'restart' in adapter;
  return isRestarted ? { adapter: { ...adapter, restart: { every: STEPS / 2, warmup: 1 } } } : {};
}

/** Checkpoints that come within the few steps, where they come by steps. */
const withCheckpoints = ({ checkpoint }: Experiment['fixed']): object =>
  typeof checkpoint === 'object' && checkpoint !== null && 'every_steps' in checkpoint
    ? { checkpoint: { ...checkpoint, every_steps: STEPS / 2 } }
    : {};
