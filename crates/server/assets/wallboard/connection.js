/** The connection truth: a board that is not live says so before anybody believes it. */

import { duration, lag, timeOfDayExact } from './format.js';

const ANNOUNCED = {
  LIVE: 'The board is live.',
  STALE: 'No news from the server. The board may be out of date.',
  OFFLINE: 'Disconnected from the server.',
};
/** A reconnection takes a moment; saying every step of it aloud would be noise. */
const SETTLE_MS = 1500;

export class Connection {
  /** @param {() => number} now the server's clock, running */
  constructor(now) {
    this.now = now;
    this.badge = document.getElementById('connection');
    [this.word, this.detail] = this.badge.querySelectorAll('b, span');
    this.news = document.getElementById('news');
    this.announcer = document.getElementById('announcer');
    this.state = 'OFFLINE';
    this.info = {};
    this.liveUntil = null; // when it stopped being live; null while it is
    this.heardAt = null; // when the server last said that all is well
    this.announced = null;
  }

  set(state, info) {
    if (this.state === 'LIVE' && state !== 'LIVE') this.liveUntil = this.now();
    if (state === 'LIVE') {
      this.liveUntil = null;
      this.heardAt = this.now();
    }
    if (state !== this.state) this.#announce(state);
    this.state = state;
    this.info = info;
    document.body.dataset.connection = state;
    document.title = state === 'LIVE' ? 'Wallboard' : `✕ Wallboard · ${state.toLowerCase()}`;
    this.tick();
  }

  /** What durations are counted to: they stand still while nobody can know them. */
  frozenNow() {
    return this.liveUntil ?? this.now();
  }

  tick() {
    const { state, info } = this;
    this.word.textContent = state;
    this.detail.textContent = state === 'LIVE' ? lag(info.lag_ms) : '';
    this.news.textContent = this.#news();
  }

  #news() {
    const { state, info, liveUntil } = this;
    const since = liveUntil ? ` since ${timeOfDayExact(liveUntil)}` : '';
    if (state === 'STALE') return `No news for ${duration(this.now() - this.heardAt)} · timers stopped`;
    if (state !== 'OFFLINE') return '';
    if (info.final) return info.reason ? `Disconnected: ${info.reason}` : 'Disconnected';
    if (!info.retry_at) return liveUntil ? `Disconnected${since} · connecting` : 'Connecting';
    return `Disconnected${since} · next try in ${duration(info.retry_at - this.now() + 999)}`;
  }

  #announce(state) {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      if (!ANNOUNCED[state] || state === this.announced) return;
      this.announced = state;
      this.announcer.textContent = ANNOUNCED[state];
    }, SETTLE_MS);
  }
}
