import { AppError } from './errors.js';

const HINT =
  'In a password, characters other than letters, digits, - and _ are written as % and their code: / is %2F, @ is %40, # is %23. `openssl rand -hex 24` makes one without them.';

/**
 * The address of a server as it was given, once it can be read: a password with a `/` or `#` in it is else taken for the name of the host,
 * which fails far from here. An address without a scheme (a host, a path of a socket) is left to what opens it.
 * @throws AppError `invalid_value` that names the variable, without what it holds.
 */
export function checkServerAddress(name: string, value: string): string {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(value) || isReadable(value)) return value;
  throw new AppError('invalid_value', `${name} is no address that can be read.`, { param: name, hint: HINT });
}

function isReadable(value: string): boolean {
  // A socket is named behind: `postgresql://user:password@/database?host=/run/postgresql`.
  const whole = value.replace('@/', '@localhost/');
  if (!URL.canParse(whole)) return false;
  const { password, pathname } = new URL(whole);
  // `//user:12/3@host`: the host ends before the slash.
  return isDecodable(password) && !pathname.includes('@');
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
