/**
 * How far an agent is towards the point at which somebody should look. `progress` runs from 0 to 1 and drives the bar
 * beside the time; `level` is null, `amber` or `red`.
 */

const MINUTE = 60_000;

/** Milliseconds in the state; where the row itself carries a deadline, the deadline decides. */
export const THRESHOLDS = {
  ringing: { amber: 15_000, red: 30_000 },
  wrap_up: { amber: 90_000, red: 3 * MINUTE },
  paused: { amber: 5 * MINUTE, red: 15 * MINUTE }, // only without a reason: a reason is an answer
  unreachable: { amber: 0, red: MINUTE },
};

/** A deadline is kept by the server; the board forgives the way of the news before it cries. */
const GRACE_MS = 1500;
const NOTHING = { level: null, progress: null };

const elapsed = (ms, { amber, red }) => ({
  level: ms >= red ? 'red' : ms >= amber ? 'amber' : null,
  progress: Math.min(1, ms / red),
});

/** @param {number} amberShare Infinity where running towards the deadline is the usual thing, not a problem */
function deadline(now, since, until, amberShare) {
  const progress = Math.min(1, (now - since) / Math.max(1, until - since));
  return { level: now > until + GRACE_MS ? 'red' : progress >= amberShare ? 'amber' : null, progress };
}

const earliest = (list, field) => list?.reduce((least, { [field]: at }) => Math.min(least, at ?? Infinity), Infinity);

/** When the first wrap-up of the agent ends. @returns {number|null} */
export function wrapUpEnds(live) {
  const until = earliest(live.wrap_ups, 'until');
  return Number.isFinite(until) ? until : null;
}

/** When the first ringing offer of the agent runs out. @returns {number|null} */
export function offerEnds(live) {
  const until = earliest(live.offers, 'expires_at');
  return Number.isFinite(until) ? until : null;
}

/** @param {object|undefined} live @param {number} now on the server's clock */
export function threshold(live, now) {
  const inState = now - live?.since;
  switch (live?.bucket) {
    case 'ringing': {
      const until = offerEnds(live);
      return until ? deadline(now, live.since, until, Infinity) : elapsed(inState, THRESHOLDS.ringing);
    }
    case 'wrap_up': {
      const until = wrapUpEnds(live);
      const { level } = elapsed(inState, THRESHOLDS.wrap_up);
      if (!until) return { level, progress: null };
      const late = deadline(now, live.since, until, Infinity);
      return { level: late.level ?? level, progress: late.progress };
    }
    case 'paused':
      if (live.pause?.until) return deadline(now, live.pause.since ?? live.since, live.pause.until, 0.8);
      return live.pause?.reason_id ? NOTHING : elapsed(inState, THRESHOLDS.paused);
    case 'unreachable':
      return live.status === 'available' ? elapsed(inState, THRESHOLDS.unreachable) : NOTHING;
    default:
      return NOTHING;
  }
}
