// Mutations of a package: the files' places are said once.

export const lm = (file, testFile, rest) => ({
  file: `packages/lm/src/${file}`,
  testFile: `packages/lm/test/${testFile}.test.ts`,
  ...rest,
});
export const data = (file, testFile, rest) => ({
  file: `packages/data/src/${file}`,
  testFile: `packages/data/test/${testFile}.test.ts`,
  ...rest,
});
export const recipes = (file, testFile, rest) => ({
  file: `packages/recipes/src/${file}`,
  testFile: `packages/recipes/test/${testFile}.test.ts`,
  ...rest,
});
export const services = (file, testFile, rest) => ({
  file: `packages/services/src/${file}`,
  testFile: `packages/services/test/${testFile}.test.ts`,
  ...rest,
});
