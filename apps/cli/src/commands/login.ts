import { type Command, DATA_OPTION, noMoreThan } from '../args.js';
import { connect } from '../connect.js';
import { print } from '../terminal.js';

export const loginCommand: Command = {
  name: 'login',
  forms: ['[--data DIR]'],
  options: { data: DATA_OPTION },
  run: async (args) => {
    noMoreThan(args, 0, loginCommand);
    print((await connect(args).call('createLoginLink')).url);
    return 0;
  },
};
