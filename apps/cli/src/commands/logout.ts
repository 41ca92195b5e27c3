import { type Command, DATA_OPTION, noMoreThan } from '../args.js';
import { connect } from '../connect.js';
import { print } from '../terminal.js';

export const logoutCommand: Command = {
  name: 'logout',
  forms: ['[--data DIR]'],
  options: { data: DATA_OPTION },
  run: async (args) => {
    noMoreThan(args, 0, logoutCommand);
    const { ended } = await connect(args).call('signOut');
    print(ended === 1 ? 'One browser is signed out.' : `${ended} browsers are signed out.`);
    return 0;
  },
};
