import { StreamHub, type Tab, type Wanted } from './hub.js';

/** The shared worker of all tabs of one browser; it lives as long as one of them. */
const hub = new StreamHub();

addEventListener('connect', (event) => {
  const [port] = (event as MessageEvent).ports;
  if (!port) return;
  const tab: Tab = { send: (message) => port.postMessage(message) };
  port.onmessage = ({ data }: MessageEvent<Wanted>) => hub.want(tab, data);
});
