import { type Command, DATA_OPTION, noMoreThan } from '../args.js';
import { connect } from '../connect.js';
import { print } from '../terminal.js';

export const logoutCommand: Command = {
  name: 'logout',
  forms: ['[--json] [--data DIR]'],
  options: { data: DATA_OPTION, json: { type: 'boolean', help: 'What the API answered, as JSON.' } },
  run: async (args) => {
    noMoreThan(args, 0, logoutCommand);
    const answer = await connect(args).call('signOut');
    const { ended } = answer;
    if (args.options.json) print(JSON.stringify(answer));
    else print(ended === 1 ? 'One browser is signed out.' : `${ended} browsers are signed out.`);
    return 0;
  },
};
