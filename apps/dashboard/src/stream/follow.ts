import { compareIds, type ServerEvent } from '@moraine/contract/events';
import { client } from '../lib/client.js';
import { connection } from '../lib/connection.js';
import { type HubMessage, StreamHub, type Wanted } from './hub.js';

export interface Follower {
  onMessage(message: ServerEvent): void;
  /** The stream cannot go on from here: read the metrics again and follow anew. */
  onRefused(): void;
}

interface Followed extends Follower {
  position: string | null;
}

const PATH = client.url('streamRuns').split('?')[0] ?? '';
const followed = new Map<string, Followed>();
let say: ((wanted: Wanted) => void) | null = null;

/** Follows a run from a message on, over the one stream that all tabs of this browser share. Returns how to stop. */
export function followRun(runId: string, position: string | null, follower: Follower): () => void {
  const entry: Followed = { ...follower, position };
  followed.set(runId, entry);
  connection.stream('connecting');
  tell();
  return () => {
    if (followed.get(runId) !== entry) return;
    followed.delete(runId);
    tell();
  };
}

/** Tells the hub what this tab wants; nothing while nobody sees it, and then from where it left off. */
function tell(): void {
  say ??= openHub();
  const isWanted = !document.hidden && followed.size > 0;
  const runs = isWanted ? [...followed].map(([runId, { position }]) => [runId, position] as const) : [];
  if (!isWanted) connection.stream('none');
  say({ path: PATH, runs });
}

/** The shared worker; in a browser without them (some phones) the hub is in the page. */
function openHub(): (wanted: Wanted) => void {
  document.addEventListener('visibilitychange', tell);
  addEventListener('pagehide', () => say?.({ path: PATH, runs: [] }));
  addEventListener('pageshow', (event) => event.persisted && tell());
  if (typeof SharedWorker === 'undefined') {
    const hub = new StreamHub();
    const tab = { send: take };
    return (wanted) => hub.want(tab, wanted);
  }
  const worker = new SharedWorker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'moraine-stream' });
  worker.port.onmessage = ({ data }: MessageEvent<HubMessage>) => take(data);
  return (wanted) => worker.port.postMessage(wanted);
}

function take(message: HubMessage): void {
  switch (message.type) {
    case 'status':
      if (followed.size > 0) connection.stream(message.status);
      return;
    case 'heard':
      connection.heardStream();
      return;
    case 'message': {
      const entry = followed.get(message.runId);
      const { id } = message.message;
      // What was on its way when this tab said where it is comes twice.
      if (!entry || id === null || (entry.position !== null && compareIds(id, entry.position) <= 0)) return;
      entry.position = id;
      entry.onMessage(message.message);
      return;
    }
    case 'refused':
      for (const entry of [...followed.values()]) entry.onRefused();
      return;
    default:
      message satisfies never;
  }
}
