import { AppError } from './errors.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/;

/** @throws AppError `invalid_value` for a name that no base can have. */
export function refuseBaseName(name: string): void {
  if (NAME.test(name)) return;
  throw new AppError('invalid_value', `'name' is '${name.slice(0, 100)}', which no base can be called.`, {
    param: 'name',
    hint: 'Take up to 96 letters, digits, dots, dashes and underscores, a letter or digit first.',
  });
}
