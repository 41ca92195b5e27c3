import { ROUTES } from '../routes/index.js';
import { type ClientOptions, createRouteClient, type RouteClient } from './route-client.js';

export { readEvents, type ServerEvent } from './events.js';
export { type CallOptions, type ClientOptions, toAppError } from './route-client.js';

export type Client = RouteClient<typeof ROUTES>;

/** The typed client over the whole route table. */
export const createClient = (options: ClientOptions): Client => createRouteClient(ROUTES, options);
