import { recipes } from './of.mjs';

const contract = (file, testFile, rest) => ({
  file: `packages/contract/src/${file}`,
  testFile: `packages/contract/test/${testFile}.test.ts`,
  ...rest,
});

/** What people who come from elsewhere rely on. */
export const moving = [
  contract('moving/ledger.ts', 'moving', {
    name: 'import: a key that nobody knows is dropped in silence',
    find: '!read.has(key) && !isEmpty(value)',
    replace: 'false && !isEmpty(value)',
    test: 'of a job > from before `method`, the older keys count, and a key that nobody knows is named',
  }),
  contract('compare/saved-answers.ts', 'compare', {
    name: 'compare: a failed request of a batch counts as an answer',
    find: 'status >= 400',
    replace: 'status >= 600',
    test: 'saved answers > a batch numbered from 0, of which one failed',
  }),
  contract('compare/compare-answers.ts', 'compare', {
    name: 'compare: the difference is theirs less ours',
    find: 'bootstrapDifference(ours.map(Number), theirs.map(Number))',
    replace: 'bootstrapDifference(theirs.map(Number), ours.map(Number))',
    test: 'a comparison > has the figures that evaluations have',
  }),
  contract('compare/compare-answers.ts', 'compare', {
    name: 'compare: one row makes a verdict',
    find: "if (p >= SIGNIFICANT) return 'open';",
    replace: '',
    test: 'a comparison > of t says who is right more often, or that nobody can tell',
  }),
  recipes('evaluate/compare-rows.ts', 'compare-rows', {
    name: 'compare: what ours refused may be right',
    find: 'problem === null && ',
    replace: '',
    test: 'rows that both answered are judged; ours is asked those alone, and what it refuses is wrong',
  }),
  {
    file: 'apps/cli/src/mcp/tool.ts',
    testFile: 'apps/cli/test/mcp-tool.test.ts',
    name: 'mcp: any string confirms',
    find: 'if (given === wanted) return true;',
    replace: 'return true;',
    test: 'a confirmation > that is absent does nothing, one that fits does it, any other is refused',
  },
  {
    file: 'apps/dashboard/src/playground/answer.ts',
    testFile: 'apps/dashboard/test/playground.test.ts',
    name: 'playground: the more likely a token, the stronger its shade',
    find: 'logprob / FAINTEST',
    replace: '1 - logprob / FAINTEST',
    test: 'an answer > is shaded the more the less likely a token was',
  },
];
