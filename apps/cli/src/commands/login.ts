import { type Command, DATA_OPTION, noMoreThan } from '../args.js';
import { connect } from '../connect.js';
import { print } from '../terminal.js';

export const loginCommand: Command = {
  name: 'login',
  forms: ['[--json] [--data DIR]'],
  options: { data: DATA_OPTION, json: { type: 'boolean', help: 'What the API answered, as JSON.' } },
  run: async (args) => {
    noMoreThan(args, 0, loginCommand);
    const link = await connect(args).call('createLoginLink');
    print(args.options.json ? JSON.stringify(link) : link.url);
    return 0;
  },
};
