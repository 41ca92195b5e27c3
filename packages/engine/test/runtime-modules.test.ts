import { readFileSync } from 'node:fs';
import { builtinModules, createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

interface Locked {
  dev?: boolean;
  devOptional?: boolean;
  optional?: boolean;
}
const lockFile = fileURLToPath(new URL('../../../package-lock.json', import.meta.url));
const { packages } = JSON.parse(readFileSync(lockFile, 'utf8')) as { packages: Record<string, Locked> };
const require = createRequire(import.meta.url);

// tfjs requires `long` and leaves it to its parts to depend on it: a whole checkout has one that a tool of development wants.
test.each(['@tensorflow/tfjs'])('what %s requires is installed without the tools of development', (name) => {
  const text = readFileSync(require.resolve(name), 'utf8');
  const required = [...text.matchAll(/^(?:var|const) [\w$]+ = require\('([^'.][^']*)'\)/gm)].map(
    ([, module = '']) => module,
  );
  const modules = new Set(required.filter((module) => !builtinModules.includes(module)));
  expect(modules).toContain('long');
  for (const module of modules) {
    const entry = packages[`node_modules/${module}`];
    expect(entry, module).toBeDefined();
    expect(entry?.dev ?? entry?.devOptional ?? entry?.optional ?? false, module).toBe(false);
  }
});
