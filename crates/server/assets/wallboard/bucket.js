/** The nine buckets and six tiles in the words and shapes people see. State is never colour alone. */

export const BUCKETS = {
  ready: { name: 'Ready', tile: 'available' },
  idle: { name: 'Idle', tile: 'available' },
  ringing: { name: 'Ringing', tile: 'ringing' },
  in_call: { name: 'On call', tile: 'on_call' },
  external_call: { name: 'External', tile: 'on_call' },
  wrap_up: { name: 'Wrap-up', tile: 'wrap_up' },
  paused: { name: 'Paused', tile: 'paused' },
  offline: { name: 'Offline', tile: 'offline' },
  unreachable: { name: 'No device', tile: 'offline' },
};

/** `sub` is a bucket counted by the server, `over` counts this tile's rows past their threshold. */
export const TILES = [
  { tile: 'available', name: 'Available', shape: 'ready', sub: 'idle', subName: 'idle' },
  { tile: 'ringing', name: 'Ringing', shape: 'ringing', over: 'late' },
  { tile: 'on_call', name: 'On call', shape: 'in_call', sub: 'external_call', subName: 'external' },
  { tile: 'wrap_up', name: 'Wrap-up', shape: 'wrap_up', over: 'over' },
  { tile: 'paused', name: 'Paused', shape: 'paused', over: 'over' },
  { tile: 'offline', name: 'Offline', shape: 'offline', sub: 'unreachable', subName: 'unreachable' },
];

export const bucketName = (bucket) => BUCKETS[bucket]?.name ?? bucket ?? 'Unknown';

const SVG = 'http://www.w3.org/2000/svg';

/** The sign of a bucket, drawn by the symbols in the page. */
export function shape(bucket) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'shape');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#shape-${bucket}`);
  svg.append(use);
  return svg;
}

export function setShape(svg, bucket) {
  svg.firstChild.setAttribute('href', `#shape-${bucket in BUCKETS ? bucket : 'offline'}`);
}
