import { AppError } from '@moraine/contract';
import { type Command, DATA_OPTION, noMoreThan, text } from '../args.js';
import { createEvaluation, EVALUATION_OPTIONS } from './evaluations-create.js';

export const evalCommand: Command = {
  name: 'eval',
  forms: ['FILE --model NAME --suite NAME [--lambda L] [--limit N [--seed N]] [--json]'],
  options: {
    data: DATA_OPTION,
    ...EVALUATION_OPTIONS,
    json: { type: 'boolean', help: 'The evaluation as it ended, as the API describes it, as JSON.' },
  },
  run: (args) => {
    noMoreThan(args, 1, evalCommand);
    const [named] = args.positionals;
    if (named !== undefined && text(args, 'file') !== undefined)
      throw new AppError('invalid_request', `Two files are named: ${named} and --file ${text(args, 'file')}.`, {
        hint: 'Name one.',
      });
    return createEvaluation({ ...args, options: { ...args.options, watch: true } }, evalCommand, named);
  },
};
