export const checks = [
  {
    name: 'import check: circles of folders pass',
    file: 'scripts/house/graph.mjs',
    find: "if (state.get(node) === 'open') {",
    replace: "if (state.get(node) === 'never') {",
    testFile: 'scripts/test/checks.test.ts',
    test: 'import rules > folders that import each other are a circle although no two files do, and so are a folder and a file beside it',
  },
  {
    name: 'docs check: links are not looked at',
    file: 'scripts/check-docs.mjs',
    find: '!existsSync(path.join(folder, target))',
    replace: 'false',
    testFile: 'scripts/test/checks.test.ts',
    test: 'documents: missing paths, links and scripts are named with their line; what exists or is an example is not',
  },
  {
    name: 'redaction: a refused value is shown whole',
    file: 'packages/contract/src/validate.ts',
    find: 'text.length > 80 ?',
    replace: 'text.length > 8000 ?',
    testFile: 'packages/contract/test/validate.test.ts',
    test: 'a request that is refused > keeps a long value short',
  },
];
