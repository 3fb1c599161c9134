/** Words for times and counts. Everything shown goes through here, so that equal things look equal. */

const two = (n) => String(n).padStart(2, '0');

/** 0:07 · 12:41 · 1:02:10. @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (h >= 100) return `${Math.floor(h / 24)} d ${h % 24} h`;
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** A countdown reads 0:01 during its last second, never 0:00 before it is over. @param {number} ms */
export const countdown = (ms) => duration(ms + 999);

/** Rough, for things nobody counts by the second: 12 s · 4 min · 3 h · 2 d. @param {number} ms */
export function age(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

const WALL = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const WALL_SECONDS = new Intl.DateTimeFormat([], {
  hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});

/** 14:02. @param {number} at */
export const timeOfDay = (at) => WALL.format(at);

/** 14:02:37. @param {number} at */
export const timeOfDayExact = (at) => WALL_SECONDS.format(at);

/** 40 ms · 1.2 s. @param {number|null} ms */
export function lag(ms) {
  if (ms === null || ms === undefined) return '';
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

const NUMBER = new Intl.NumberFormat('en', { useGrouping: true });

/** 5 000: a thin space reads the same everywhere. @param {number} n */
export const count = (n) => NUMBER.format(n ?? 0).replaceAll(',', '\u202f');

/** 78 % of the time that could have been spent on calls, or nothing before there was any. @param {object} today */
export function occupancy(today) {
  const busy = (today?.talk_ms ?? 0) + (today?.wrap_up_ms ?? 0);
  const all = busy + (today?.ready_ms ?? 0);
  return all > 0 ? `${Math.round((100 * busy) / all)}\u202f%` : '';
}

const OUTCOMES = {
  accepted: 'accepted', no_answer: 'missed', rejected: 'rejected', busy: 'busy', cancelled: 'cancelled',
  rescinded: 'rescinded', lost_race: 'lost race', failed: 'failed',
};

/** @param {string|{outcome?: string, type?: string}|null} outcome */
export function outcomeName(outcome) {
  const code = typeof outcome === 'object' ? outcome?.outcome ?? outcome?.type : outcome;
  return OUTCOMES[code] ?? code ?? 'open';
}
