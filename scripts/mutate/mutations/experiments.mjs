// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of source code
import { recipes, services } from './of.mjs';

const next = (fault) => ({
  file: 'packages/contract/src/experiments/search.ts',
  testFile: 'packages/contract/test/experiments/next.test.ts',
  ...fault,
});

const plan = (fault) => ({
  file: 'packages/contract/src/experiments/plan.ts',
  testFile: 'packages/contract/test/experiments/plan.test.ts',
  ...fault,
});

const rungs = (fault) => ({
  file: 'packages/contract/src/experiments/asha.ts',
  testFile: 'packages/contract/test/experiments/asha.test.ts',
  ...fault,
});

/** What an experiment must not do: stop too early, lose or double a run, act on what it was. */
export const experiments = [
  next({
    name: 'experiment: a search in which every run diverged stops',
    find: 'const isLow = best.length === 0 ||',
    replace: 'const isLow =',
    test: 'a bracket search > goes down while every run diverges, and fails where all did',
  }),
  next({
    name: 'experiment: a rate with one worse neighbour counts as bracketed',
    find: 'isWorse(smaller) && isWorse(larger)',
    replace: 'isWorse(smaller) || isWorse(larger)',
    test: 'a bracket search > stops at its bound and says that the optimum is at the edge',
  }),
  services('experiments/start-cell.ts', 'experiments', {
    name: 'experiment: a run is started by a decision that is out of date',
    find: "AND revision = ${revision} AND status = 'running' FOR UPDATE",
    replace: 'AND ${revision} > 0 FOR UPDATE',
    test: 'no cell is lost and none is made twice > by a decision about an experiment that has changed since',
  }),
  services('experiments/start-cell.ts', 'experiments', {
    name: 'experiment: a deleted run keeps its cell',
    find: 'if (!run?.is_deleted) return',
    replace: 'if (run || !run) return',
    test: 'no cell is lost and none is made twice > a run that is deleted frees its cell, and is not in the way when it is restored',
  }),
  rungs({
    name: 'rungs: too many go on',
    find: 'Math.floor(there.length / eta)',
    replace: 'Math.ceil(there.length / eta)',
    test: 'the rule of promotion > one of five: a third is rounded down',
  }),
  rungs({
    name: 'rungs: a run that failed is ranked by what it scored before',
    find: "if (to === step && (state === 'diverged' || state === 'failed')) return Number.POSITIVE_INFINITY;",
    replace: '',
    test: 'the rule of promotion > so does one that failed, whatever it scored there',
  }),
  services('training/hold-run.ts', 'pause-run', {
    name: 'rungs: a run goes on by a decision about another rung',
    find: 'AND hold_step = $2) RETURNING id)',
    replace: 'AND step >= 0 * $2::int) RETURNING id)',
    test: 'a run that is held at a step > is left alone by a decision that was made of it as it was before',
  }),
  recipes('train.ts', 'resume', {
    name: 'rungs: a held run is not scored where it is held',
    find: ' || step === spec.holdAt ||',
    replace: ' ||',
    test: 'a run that is held at a step > is scored and saved there, gives up its worker, and goes on to the bit as if it never had',
  }),
  recipes('train.ts', 'evaluation', {
    name: 'plane: a file of the way is scored at the end twice',
    find: 'if (step.step < config.steps && stoppedEarly === null) await',
    replace: 'await',
    test: 'the evaluations of a run > come on the way too where a file asks for it: with the validation, or with a checkpoint, before it and without samples',
  }),
  plan({
    name: 'plane: test rows are looked at on the way',
    find: "[{ file_id: test, role: 'target' as const }]",
    replace: "[{ file_id: test, role: 'target' as const, ...onTheWay }]",
    test: 'a plan > points at checkpoints',
  }),
  services('experiments/change-experiment.ts', 'experiments', {
    name: 'experiment: a run that failed is not made again',
    find: 'await freeFailed(s, row);',
    replace: '',
    test: 'a run that fails for another reason than its rate > fails the experiment when the other arms are done; resuming makes that run again and no other',
  }),
];
