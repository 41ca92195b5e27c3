import { type Command, DATA_OPTION, noMoreThan } from '../args.js';
import { addressFor } from '../connect.js';
import { print } from '../terminal.js';

/** Base64url keys and loopback addresses need no quotes; quotes cost nothing where something else was given. */
const quoted = (value: string): string => (/^[\w:/.@-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`);

export const envCommand: Command = {
  name: 'env',
  forms: ['', '[--data DIR]      use it so: eval "$(npx moraine env)"'],
  options: { data: DATA_OPTION },
  run: async (args) => {
    noMoreThan(args, 0, envCommand);
    const { origin, apiKey } = addressFor(args);
    print(`export OPENAI_BASE_URL=${quoted(`${origin}/v1`)} OPENAI_API_KEY=${quoted(apiKey)}`);
    return 0;
  },
};
