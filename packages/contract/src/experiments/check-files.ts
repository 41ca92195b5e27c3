import { AppError } from '../errors.js';
import type { ExperimentSpec } from './spec.js';

/** A file that an experiment names, and where. */
interface Named {
  param: string;
  id: string;
}

/**
 * Rows that choose must not be those that are reported, nor those that are trained on, by whichever key: two uploads of the same rows are the same file here.
 * @param contentOf what a file holds, by its id: equal for equal contents
 * @throws AppError `invalid_value` naming both keys.
 */
export function checkFiles(spec: ExperimentSpec, contentOf: (fileId: string) => string): void {
  const seen = new Map(trainedOn(spec).map((one) => [contentOf(one.id), one]));
  for (const one of judgedBy(spec)) {
    const before = seen.get(contentOf(one.id));
    if (before !== undefined) throw refuse(one, before);
    seen.set(contentOf(one.id), one);
  }
}

/** The last of equal ones names it: `training_file` where that is one of a mix too. */
function trainedOn({ training_file, data_mix = [], arms }: ExperimentSpec): Named[] {
  return [
    ...arms.flatMap((arm, at) =>
      (arm.data_mix ?? []).map(({ file_id: id }, i) => ({ param: `arms[${at}].data_mix[${i}].file_id`, id })),
    ),
    ...data_mix.map(({ file_id: id }, i) => ({ param: `data_mix[${i}].file_id`, id })),
    { param: 'training_file', id: training_file },
  ];
}

function judgedBy({ evaluation: { validation, test, source } }: ExperimentSpec): Named[] {
  return [
    { param: 'evaluation.validation', id: validation },
    ...(test === undefined ? [] : [{ param: 'evaluation.test', id: test }]),
    ...source.map((id, i) => ({ param: `evaluation.source[${i}]`, id })),
  ];
}

function refuse({ param, id }: Named, before: Named): AppError {
  const what =
    id === before.id ? `which is ${before.param} too` : `which holds the rows of '${before.id}', ${before.param}`;
  return new AppError('invalid_value', `'${param}' is '${id}', ${what}.`, {
    param,
    hint: 'Choose, report and train on different rows.',
  });
}
