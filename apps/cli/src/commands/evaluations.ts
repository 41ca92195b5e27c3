import {
  type Arguments,
  type Command,
  DATA_OPTION,
  integer,
  needed,
  noMoreThan,
  required,
  runAction,
  text,
} from '../args.js';
import { connect } from '../connect.js';
import { PAGE_OPTIONS } from '../pages.js';
import { figureOf, sayDrawn } from '../summary-view.js';
import { labelled, print } from '../terminal.js';
import { createEvaluation, EVALUATION_OPTIONS } from './evaluations-create.js';
import { listEvaluationEvents, listEvaluations, listItems } from './evaluations-lists.js';
import { endOf, watchEvaluation } from './evaluations-watch.js';

export const evaluationsCommand: Command = {
  name: 'evaluations',
  forms: [
    'create --model NAME --suite NAME --file FILE [--lambda L] [--limit N [--seed N]] [--samples N] [--watch] [--json]',
    'watch EVALUATION [--items] [--json]',
    'ls [--model NAME] [--run RUN] [--suite NAME] [--status NAME] [--limit N | --all] [--after ID] [--json]',
    'show EVALUATION [--json]',
    'items EVALUATION [--verdict right|wrong] [--all-samples] [--limit N | --all] [--after INDEX] [--json]',
    'events EVALUATION [--limit N | --all] [--after ID] [--json]',
    'cancel EVALUATION [--json]',
    'compare EVALUATION --with EVALUATION [--metric NAME] [--limit N] [--json]',
  ],
  examples: [
    'create --model moraine-tiny --suite arc_easy --file arc.jsonl --limit 500 --watch',
    'create --model ft:moraine-tiny:default::4f2k9x1c --lambda 0.5 --suite file --file test.jsonl',
    'ls --suite arc_easy --status succeeded',
    'items evaltask_4f2k --verdict wrong --limit 5',
    'events evaltask_4f2k',
    'cancel evaltask_4f2k',
    'compare evaltask_4f2k --with evaltask_9x1c',
  ],
  options: {
    data: DATA_OPTION,
    json: { type: 'boolean', help: 'What is printed, as the API describes it, as JSON.' },
    ...EVALUATION_OPTIONS,
    ...PAGE_OPTIONS,
    limit: { type: 'string', value: 'N', help: 'Items to ask at most (create); else how many to list, default 20.' },
    watch: { type: 'boolean', help: 'Wait until it has ended, and print its figures.' },
    items: { type: 'boolean', help: 'Print each item as it is scored (watch).' },
    run: { type: 'string', value: 'RUN', help: 'Evaluations that this run asked for only.' },
    status: { type: 'string', value: 'NAME', help: 'Evaluations of this status only.' },
    verdict: { type: 'string', value: 'NAME', help: 'Items with this verdict only: right or wrong.' },
    'all-samples': { type: 'boolean', help: 'Of each item (items) every answer that was drawn too.' },
    with: { type: 'string', value: 'EVALUATION', help: 'The baseline: another evaluation of the same items.' },
    metric: { type: 'string', value: 'NAME', help: 'Figure to compare; default what the suite is known by.' },
  },
  run: (args) =>
    runAction(args, evaluationsCommand, {
      create: (given) => {
        noMoreThan(given, 1, evaluationsCommand);
        return createEvaluation(given, evaluationsCommand);
      },
      watch: (given) => watchEvaluation(given, idOf(given)),
      ls: (given) => {
        noMoreThan(given, 1, evaluationsCommand);
        return listEvaluations(given);
      },
      show,
      items: (given) => listItems(given, idOf(given)),
      events: (given) => listEvaluationEvents(given, idOf(given)),
      cancel,
      compare,
    }),
};

function idOf(args: Arguments): string {
  const id = required(args, 1, 'The id of the evaluation', evaluationsCommand);
  noMoreThan(args, 2, evaluationsCommand);
  return id;
}

async function show(args: Arguments): Promise<number> {
  const evaluation = await connect(args).call('getEvaluation', { params: { id: idOf(args) } });
  if (args.options.json) {
    print(JSON.stringify(evaluation));
    return 0;
  }
  const { tuned, progress, state_reason: why, examples, fewshot, limit, seed, sampling } = evaluation;
  print(
    labelled([
      ['evaluation', evaluation.id],
      ['status', evaluation.status],
      ['why', why?.message ?? evaluation.error?.message ?? null],
      ['made for', evaluation.made_for],
      ['model', evaluation.model],
      ['base', evaluation.base],
      ['adapter', tuned && `sha256 ${tuned.sha256}${tuned.step === null ? '' : `, step ${tuned.step}`}`],
      ['lambda', tuned && String(evaluation.lambda)],
      ['suite', evaluation.suite],
      ['file', evaluation.file],
      ['examples', fewshot ? `${fewshot}${examples ? ` of ${examples}` : ''}` : null],
      ['limit', limit === null ? null : `${limit}${seed === null ? '' : `, drawn with seed ${seed}`}`],
      ['samples', sampling && `${sayDrawn(sampling)}, seed ${sampling.seed}`],
      ['items', progress.total === null ? null : `${progress.items} of ${progress.total}`],
      [
        'attempts',
        evaluation.attempts
          .map(({ attempt, status, cause }) => `${attempt} ${status}${cause ? ` (${cause})` : ''}`)
          .join(', '),
      ],
    ]),
  );
  if (evaluation.summary !== null) for (const row of endOf(evaluation).slice(1)) print(row);
  return 0;
}

async function cancel(args: Arguments): Promise<number> {
  const evaluation = await connect(args).call('cancelEvaluation', { params: { id: idOf(args) } });
  print(args.options.json ? JSON.stringify(evaluation) : `${evaluation.id}: ${evaluation.state ?? evaluation.status}`);
  return 0;
}

/** The paired difference of two evaluations of the same items. */
async function compare(args: Arguments): Promise<number> {
  const id = idOf(args);
  const query = {
    with: needed(args, 'with', evaluationsCommand),
    metric: text(args, 'metric'),
    limit: integer(args, 'limit', 1, 1000),
  };
  const compared = await connect(args).call('compareEvaluations', { params: { id }, query });
  if (args.options.json) {
    print(JSON.stringify(compared));
    return 0;
  }
  const { metric, n, value, baseline_value: before, difference, interval, verdicts } = compared;
  const shown = (figure: number): string => figureOf(metric, figure);
  print(`${metric} on the same ${n} items: ${shown(value)}, baseline ${shown(before)}`);
  print(`difference ${shown(difference)}  [${shown(interval[0])}, ${shown(interval[1])}], 95 %, paired bootstrap`);
  if (verdicts !== null)
    print(
      `right: both ${verdicts.both_right}, this alone ${verdicts.only_evaluation}, the baseline alone ${verdicts.only_baseline}, neither ${verdicts.both_wrong}; McNemar's exact p ${Number(verdicts.p.toPrecision(3))}`,
    );
  for (const one of compared.items)
    print(
      `  ${one.index}  ${one.id}  ${Number(one.value.toPrecision(6))}, baseline ${Number(one.baseline.toPrecision(6))}`,
    );
  return 0;
}
