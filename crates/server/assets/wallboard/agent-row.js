/** One drawn row, reused for whichever agent comes into sight. It writes only what differs from what it shows. */

import { bucketName, setShape, shape } from './bucket.js';
import { age, count, countdown, duration, occupancy, outcomeName, timeOfDay } from './format.js';
import { offerEnds, threshold, wrapUpEnds } from './threshold.js';

const QUEUES_SHOWN = 3;
const shown = Symbol('shown');

function write(node, text) {
  if (node[shown] === text) return;
  node[shown] = text;
  node.textContent = text;
}

function element(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

const cell = (className, ...children) => {
  const node = element('span', `cell ${className}`, ...children);
  node.setAttribute('role', 'gridcell');
  return node;
};

const ARROWS = { inbound: '←', in: '←', outbound: '→', out: '→' };

function callText(call) {
  const parts = [ARROWS[call.direction], call.peer, call.queue_id && `· ${call.queue_id}`];
  return parts.filter(Boolean).join(' ');
}

const remaining = (ms) => (ms < 0 ? `${duration(-ms)} over` : `${countdown(ms)} left`);

function nextText(next) {
  if (!next) return '';
  const what = { on_break: next.reason_id ?? 'pause', offline: 'log out' }[next.status] ?? next.status;
  return `then ${what}${next.at ? ` ${timeOfDay(next.at)}` : ''}`;
}

/** @returns {[string, string]} what the state is about, and the smaller print */
function about(row, now) {
  const { live, directory } = row;
  const next = nextText(live.next);
  switch (live.bucket) {
    case 'ringing': {
      const until = offerEnds(live);
      const offer = live.offers?.[0];
      return [offer?.queue_id ?? 'direct call', until ? remaining(until - now) : ''];
    }
    case 'in_call':
      return [live.calls?.length ? callText(live.calls[0]) : '', next];
    case 'external_call':
      return [live.external?.length ? callText(live.external[0]) : '', next];
    case 'wrap_up': {
      const until = wrapUpEnds(live);
      const after = live.wrap_ups?.[0]?.queue_id;
      return [until ? remaining(until - now) : 'until ended', [after, next].filter(Boolean).join(' · ')];
    }
    case 'paused': {
      const until = live.pause?.until;
      return [live.pause?.name ?? live.pause?.reason_id ?? 'no reason', until ? `until ${timeOfDay(until)}` : next];
    }
    case 'unreachable':
      return [live.reachable_since ? `lost ${timeOfDay(live.reachable_since)}` : 'never registered',
        live.status === 'on_break' ? 'paused' : ''];
    case 'idle':
      return [directory?.queues?.length ? '' : 'in no queue', next];
    default:
      return ['', next];
  }
}

function deviceText(live, now) {
  if (live.reachable) return live.reachable_since ? `up ${age(now - live.reachable_since)}` : 'up';
  return live.reachable_since ? `lost ${age(now - live.reachable_since)}` : 'none';
}

function offerText(live, now) {
  const missed = live.missed_in_row > 1 ? `${live.missed_in_row} missed` : null;
  if (!live.last_offer) return [missed ?? '', ''];
  const { at, outcome } = live.last_offer;
  return [missed ?? outcomeName(outcome), `${age(now - at)} ago`];
}

export class AgentRow {
  constructor(number) {
    const at = (tag, name, ...children) => (this[name] = element(tag, name, ...children));
    this.chipShape = shape('offline');
    this.deviceShape = shape('offline');
    this.fill = document.createElement('i');
    this.queues = cell('queues-cell');
    this.node = element(
      'div', 'row',
      cell('state', at('span', 'chip', this.chipShape, at('span', 'chip-name'))),
      cell('agent', at('b', 'name'), at('span', 'ids'), at('span', 'kind')),
      cell('time', at('span', 'mark'), at('span', 'elapsed'), at('span', 'progress', this.fill)),
      cell('reason', at('span', 'main'), at('span', 'small')),
      this.queues,
      cell('device', this.deviceShape, at('span', 'reach')),
      cell('offer', at('span', 'outcome'), at('span', 'ago')),
      cell('today', at('span', 'accepted'), at('span', 'busy')),
      cell('by', at('span', 'who')),
    );
    this.node.id = `agent-row-${number}`;
    this.node.setAttribute('role', 'row');
    this.id = null;
  }

  /** @param {string} id @param {object|undefined} row undefined when the agent left while the order was held */
  show(id, row, now) {
    const { node } = this;
    this.id = id;
    if (node.dataset.agent !== id) node.dataset.agent = id;
    node.toggleAttribute('data-gone', !row);
    if (!row) return;
    const live = row.live ?? {};
    const { level, progress } = threshold(live, now);
    this.#attribute('bucket', live.bucket ?? '');
    this.#attribute('tile', live.tile ?? '');
    this.#attribute('level', level ?? '');
    setShape(this.chipShape, live.bucket);
    const busy = live.load?.[1] > 1 ? ` ${live.load[0]}/${live.load[1]}` : '';
    write(this['chip-name'], bucketName(live.bucket) + busy);
    this.#directory(row);
    write(this.mark, level ? '▲' : '');
    write(this.elapsed, live.since ? duration(now - live.since) : '');
    this.progress.hidden = progress === null;
    if (progress !== null) this.fill.style.transform = `scaleX(${Math.max(0, progress).toFixed(3)})`;
    const [main, small] = about({ ...row, live }, now);
    write(this.main, main);
    write(this.small, small);
    setShape(this.deviceShape, live.reachable ? 'ready' : 'unreachable');
    this.#attribute('reachable', String(Boolean(live.reachable)));
    write(this.reach, deviceText(live, now));
    const [outcome, ago] = offerText(live, now);
    write(this.outcome, outcome);
    write(this.ago, ago);
    write(this.accepted, count(row.today?.accepted));
    write(this.busy, occupancy(row.today));
    const by = live.changed_by;
    write(this.who, by ? [by.id !== id && by.id, by.type].filter(Boolean).join(' · ') : '');
  }

  #attribute(name, value) {
    if (this.node.dataset[name] !== value) this.node.dataset[name] = value;
  }

  #directory({ agent_id: id, directory }) {
    const key = directory ?? id;
    if (this.directory === key) return; // fragments are replaced whole: the same one says the same
    this.directory = key;
    const { name, extension, kind, queues = [] } = directory ?? {};
    write(this.name, name ?? id);
    write(this.ids, [name ? id : null, extension && extension !== id ? extension : null].filter(Boolean).join(' · '));
    write(this.kind, kind === 'ai' ? 'AI' : '');
    const sorted = [...queues].sort((a, b) => a.tier - b.tier || a.position - b.position);
    const marks = sorted.slice(0, QUEUES_SHOWN).map(({ queue_id, tier }) => {
      const mark = element('span', 'membership', queue_id, element('sup', '', String(tier)));
      mark.setAttribute('aria-label', `${queue_id}, tier ${tier}`);
      return mark;
    });
    if (sorted.length > QUEUES_SHOWN) marks.push(element('span', 'more', `+${sorted.length - QUEUES_SHOWN}`));
    this.queues.replaceChildren(...marks);
    this.queues.title = sorted.map(({ queue_id, tier, mode }) => `${queue_id} tier ${tier} ${mode ?? ''}`).join('\n');
  }
}
