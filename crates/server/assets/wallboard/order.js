/** In which order the rows stand. Every order is total, so that equal tables look equal. */

import { threshold } from './threshold.js';

/** What somebody may have to do something about comes first; who is absent comes last. */
const CALM = ['ringing', 'wrap_up', 'paused', 'unreachable', 'ready', 'idle', 'in_call', 'external_call', 'offline'];
const RANK = new Map(CALM.map((bucket, index) => [bucket, 10 + index]));

function problemRank(live, level) {
  if (level === 'red' && live.bucket !== 'unreachable') return 0;
  if (live?.bucket === 'unreachable' && live.status === 'available') return 1;
  if (level === 'amber') return 2;
  return RANK.get(live?.bucket) ?? 99;
}

const NAMES = new Intl.Collator([], { numeric: true, sensitivity: 'base' });
const byText = (field) => (a, b) => NAMES.compare(field(a), field(b));
const since = ({ row }) => row.live?.since ?? Infinity;
const stateRank = ({ row }) => RANK.get(row.live?.bucket) ?? 99;
const byId = byText(({ row }) => row.agent_id);
const name = ({ row }) => row.directory?.name ?? row.agent_id;

const ORDERS = {
  problems: (a, b) => a.rank - b.rank || since(a) - since(b) || byId(a, b),
  state: (a, b) => stateRank(a) - stateRank(b) || since(a) - since(b) || byId(a, b),
  agent: (a, b) => byText(name)(a, b) || byId(a, b),
  time: (a, b) => since(a) - since(b) || byId(a, b),
  calls: (a, b) => (b.row.today?.accepted ?? 0) - (a.row.today?.accepted ?? 0) || byId(a, b),
};

export const SORTS = Object.keys(ORDERS);

/**
 * One pass over all agents: the ids to show, in order, and how many of each tile are past their threshold.
 * @param {Iterable<object>} rows @param {(row: object) => boolean} matches @param {string} sort @param {number} now
 */
export function arrange(rows, matches, sort, now) {
  const shown = [];
  const over = { ringing: 0, wrap_up: 0, paused: 0 };
  for (const row of rows) {
    const { level } = threshold(row.live, now);
    if (level === 'red' || (level && row.live.bucket === 'wrap_up')) {
      if (row.live.tile in over) over[row.live.tile] += 1;
    }
    if (matches(row)) shown.push({ row, rank: problemRank(row.live, level) });
  }
  shown.sort(ORDERS[sort] ?? ORDERS.problems);
  return { ids: shown.map(({ row }) => row.agent_id), over };
}
