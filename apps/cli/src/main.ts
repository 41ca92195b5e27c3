import { runWords } from './run-words.js';

// A pager or terminal that goes away must not take the supervisor with it.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
process.exitCode = await runWords(process.argv.slice(2));
