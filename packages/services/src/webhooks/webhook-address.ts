import { type LookupAddress, lookup } from 'node:dns';
import { lookup as lookUp } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '@moraine/contract';
import ipaddr from 'ipaddr.js';

/** True for an address of the public internet: no loopback, no private, link-local, multicast, mapped or translated one. */
export const isPublicAddress = (address: string): boolean =>
  ipaddr.isValid(address) && ipaddr.process(address).range() === 'unicast';

const refused = (host: string): AppError =>
  new AppError('invalid_value', `'${host}' is a private or loopback address, where webhooks are not sent to.`, {
    param: 'url',
    hint: 'Give a public address; an operator allows private ones with MORAINE_WEBHOOK_PRIVATE=1.',
  });

/** @throws AppError `invalid_value` for an address that is refused by its looks; names are looked up when something is sent. */
export function refuseAddress(text: string, allowsPrivate: boolean): void {
  const url = new URL(text);
  if (url.username !== '' || url.password !== '')
    throw new AppError('invalid_value', "'url' holds a name or password.", {
      param: 'url',
      hint: 'The signature says who sends; put a token into the path if you need one.',
    });
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const isLocalName = host === 'localhost' || host.endsWith('.localhost');
  if (!allowsPrivate && (isLocalName || (isIP(host) !== 0 && !isPublicAddress(host)))) throw refused(host);
}

/** A caller waits for it. */
const LOOKUP_MS = 1_000;

/**
 * The same for what is to be registered, and for what a name leads to now. A name that nobody knows yet is taken: it is looked up again whenever
 * something is sent.
 * @throws AppError `invalid_value`
 */
export async function refuseTarget(text: string, allowsPrivate: boolean): Promise<void> {
  refuseAddress(text, allowsPrivate);
  if (allowsPrivate) return;
  const { hostname } = new URL(text);
  const known = lookUp(hostname.replace(/^\[|\]$/g, ''), { all: true }).catch(() => []);
  const addresses = await Promise.race([known, sleep(LOOKUP_MS, [])]);
  if (addresses.some(({ address }) => !isPublicAddress(address))) throw refused(hostname);
}

/**
 * Looks a name up and refuses it when any of its addresses is private: the connection is made to what was checked, so a name that changes
 * between a check and a connection gains nothing.
 */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    if (error) return callback(error, '', 0);
    const [first] = addresses;
    if (!first || addresses.some(({ address }) => !isPublicAddress(address))) return callback(refused(hostname), '', 0);
    if (options.all) callback(null, addresses);
    else callback(null, first.address, first.family);
  });
};
