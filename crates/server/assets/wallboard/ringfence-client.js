/**
 * The ringfence stream client: one view of one account, kept equal to the server's.
 *
 * A plain ES module without dependencies; works in browsers and in Node 20 or later (hand in a `WebSocket` class where
 * none is global). Copy it. It speaks the subprotocol `ringfence.v1.json` and implements the whole client rule.
 *
 *   const client = new RingfenceClient({ origin: 'http://127.0.0.1:8080', key: 'sk_…', onChange, onState });
 *   client.start();
 */

export const SUBPROTOCOL = 'ringfence.v1.json';
const BACKOFF_FIRST_MS = 500;
const BACKOFF_LAST_MS = 30_000;
const CONNECT_MS = 10_000;
const STALE_AFTER = 2.2; // heartbeats without a frame until the table is called stale
const DEAD_AFTER = 3; // … and until the connection is given up
const RESYNCS_IN_A_ROW = 3; // then a fresh connection: asking the same socket again would only burn the frame limit

/**
 * @typedef {{epoch: string, seq: number}} ResumeToken
 * @typedef {'LIVE'|'STALE'|'OFFLINE'|'RESYNC'} ConnectionState
 * @typedef {{lag_ms: ?number, retry_at: ?number, final: boolean, code: ?number, reason: ?string}} StateInfo
 *   `retry_at` is on the server's clock (`client.now()`), `final` says that no retry will be made.
 * @typedef {{agent_id: string, seq: number, directory?: object, live?: object, today?: object}} AgentRow
 * @typedef {{queue_id: string, seq: number, waiting: number, oldest_since: number|null, ready: number}} QueueRow
 * @typedef {object} ClientOptions
 * @property {string} [origin] http(s) origin of the server; the page's own by default
 * @property {string} key credential that may mint tickets (scope `wallboard`)
 * @property {string} [account] sent as X-Account-Id, for keys that may choose
 * @property {object} [view] `{account: true}` by default
 * @property {number} [rateClass] 0, 100, 250 or 1000 ms
 * @property {number} [heartbeatMs] interval to ask for; the server's default otherwise
 * @property {(table: Table, changedAgentIds: Set<string>) => void} [onChange]
 * @property {(state: ConnectionState, info: StateInfo) => void} [onState]
 * @property {(error: {code: string, message: string}) => void} [onError]
 * @property {typeof WebSocket} [WebSocket]
 * @property {typeof fetch} [fetch]
 * @property {{now: () => number, setTimeout: Function, clearTimeout: Function, random: () => number}} [clock]
 */

const UTF8 = new TextEncoder();

/** FNV-1a-32 of the UTF-8 text `id:seq`. @param {string} id @param {number} seq @returns {number} */
export function rowHash(id, seq) {
  let hash = 0x811c9dc5;
  for (const byte of UTF8.encode(`${id}:${seq}`)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

const ID_OF = { agents: 'agent_id', queues: 'queue_id', offers: 'offer_id', calls: 'call_id' };
const KINDS = Object.keys(ID_OF);

/** The rows of one view as of `seq`. Rows are replaced, never changed in place, so they may be compared by identity. */
export class Table {
  /** @param {string|null} epoch @param {number|null} seq */
  constructor(epoch = null, seq = null) {
    this.epoch = epoch;
    this.seq = seq;
    /** @type {Map<string, AgentRow>} */ this.agents = new Map();
    /** @type {Map<string, QueueRow>} */ this.queues = new Map();
    this.offers = new Map(); // live offers and waiting calls: router views only
    this.calls = new Map();
    /** @type {Record<string, number>} */ this.tiles = {};
    /** @type {Record<string, number>} */ this.buckets = {};
    /** Kept running, so that a heartbeat costs one comparison however many rows there are. */
    this.hash = 0;
  }

  get count() {
    return KINDS.reduce((sum, kind) => sum + this[kind].size, 0);
  }

  put(kind, row) {
    const id = row[ID_OF[kind]];
    const held = this[kind].get(id);
    if (held && row.seq < held.seq) return;
    if (row.outcome != null) return void this.remove(kind, id); // an ended offer or call is in no hash
    if (held) this.hash = (this.hash - rowHash(id, held.seq)) >>> 0;
    this.hash = (this.hash + rowHash(id, row.seq)) >>> 0;
    this[kind].set(id, { ...held, ...row });
  }

  remove(kind, id) {
    const held = this[kind].get(id);
    if (!held) return;
    this.hash = (this.hash - rowHash(id, held.seq)) >>> 0;
    this[kind].delete(id);
  }

  /** Takes the rows and counts a snapshot part or a delta carries. @returns {Set<string>} agents touched */
  take(frame) {
    for (const kind of KINDS) for (const row of frame[kind] ?? []) this.put(kind, row);
    for (const id of frame.removed ?? []) this.remove('agents', id);
    for (const id of frame.removed_queues ?? []) this.remove('queues', id);
    if (frame.tiles) this.tiles = frame.tiles;
    if (frame.buckets) this.buckets = frame.buckets;
    return new Set([...(frame.agents ?? []).map((row) => row.agent_id), ...(frame.removed ?? [])]);
  }
}

/** The server's clock, estimated: of the last samples the one that travelled fastest is nearest to the truth. */
class ServerClock {
  constructor(local) {
    this.local = local;
    this.samples = [];
  }
  sample(now) {
    if (!Number.isFinite(now)) return;
    this.samples.push(now - this.local());
    if (this.samples.length > 8) this.samples.shift();
  }
  now() {
    return this.local() + (this.samples.length ? Math.max(...this.samples) : 0);
  }
}

const SYSTEM_CLOCK = {
  now: () => performance.timeOrigin + performance.now(), // monotonic: setting the machine's clock moves no timer
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  random: () => Math.random(),
};

export class RingfenceClient {
  /** @param {ClientOptions} options */
  constructor(options) {
    this.options = { view: { account: true }, rateClass: 250, ...options };
    this.origin = (options.origin ?? globalThis.location?.origin ?? '').replace(/\/$/, '');
    this.clock = options.clock ?? SYSTEM_CLOCK;
    this.serverClock = new ServerClock(this.clock.now);
    this.table = new Table(); // what may be shown; replaced as a whole when a snapshot has been verified
    this.resumable = false; // told to forget: the rows may still be shown, but nothing applies to them
    /** @type {ConnectionState} */ this.state = 'OFFLINE';
    this.counters = { connects: 0, resyncs: 0, hash_mismatches: 0, snapshots: 0, dropped: 0 };
    this.attempt = 0; // connections since the last one that proved healthy
    this.run = 0; // makes late callbacks of an abandoned connection harmless
    this.subscribeId = 0;
    this.lagMs = null;
    this.failures = 0; // resyncs since a hash was last equal
  }

  /** Epoch milliseconds on the server's clock. */
  now() {
    return this.serverClock.now();
  }

  start() {
    this.#connect();
  }

  stop() {
    this.#giveUp({ reason: 'stopped' });
  }

  /** Connects at once instead of waiting for the backoff: for "the network is back" events. */
  retryNow() {
    if (this.retryTimer) this.#connect();
  }

  #setState(state, info = {}) {
    this.state = state;
    const rest = { retry_at: null, final: false, code: null, reason: null };
    this.options.onState?.(state, { lag_ms: this.lagMs, ...rest, ...info });
  }

  async #connect() {
    this.#abandon();
    const run = this.run;
    this.counters.connects += 1;
    this.bye = null;
    this.heartbeatMs = this.options.heartbeatMs ?? 5000;
    this.#setState('OFFLINE', { reason: 'connecting' });
    this.watchdog = this.clock.setTimeout(() => this.#retry({ reason: 'timeout' }), CONNECT_MS);
    let ticket;
    try {
      ticket = await this.#ticket();
    } catch (error) {
      if (run !== this.run) return;
      const refused = error.status >= 400 && error.status < 500 && ![408, 425, 429].includes(error.status);
      if (refused) return this.#giveUp({ code: error.status, reason: error.message });
      return this.#retry({ reason: error.message, atLeast: error.retryAfterMs });
    }
    if (run !== this.run) return;
    const Socket = this.options.WebSocket ?? globalThis.WebSocket;
    const url = `${this.origin.replace(/^http/, 'ws')}/v1/stream?ticket=${encodeURIComponent(ticket)}`;
    try {
      this.socket = new Socket(url, [SUBPROTOCOL]);
    } catch (error) {
      return this.#retry({ reason: error.message });
    }
    const mine = (handle) => (event) => run === this.run && handle(event);
    this.socket.onopen = mine(() => this.#subscribe());
    this.socket.onmessage = mine((event) => this.#receive(event.data));
    this.socket.onclose = mine((event) => this.#closed(event));
    this.socket.onerror = () => {}; // always followed by onclose, which knows more
  }

  async #ticket() {
    const headers = { Authorization: `Bearer ${this.options.key}` };
    if (this.options.account) headers['X-Account-Id'] = this.options.account;
    const request = this.options.fetch ?? globalThis.fetch;
    const answer = await request(`${this.origin}/v1/tickets`, { method: 'POST', headers, cache: 'no-store' });
    if (!answer.ok) {
      const retryAfterMs = Number(answer.headers?.get('Retry-After')) * 1000 || 0;
      throw Object.assign(new Error(`ticket refused: ${answer.status}`), { status: answer.status, retryAfterMs });
    }
    return (await answer.json()).ticket;
  }

  #subscribe() {
    this.viewText = null;
    this.shadow = null;
    this.snapshotAwaited = null;
    this.lastFrame = this.clock.now();
    this.subscribeId += 1;
    const frame = { type: 'subscribe', id: this.subscribeId, view: this.options.view, class: this.options.rateClass };
    if (this.options.heartbeatMs) frame.heartbeat_ms = this.options.heartbeatMs;
    if (this.resumable) frame.since = { epoch: this.table.epoch, seq: this.table.seq };
    this.socket.send(JSON.stringify(frame));
    this.#setState('RESYNC', { reason: this.resumable ? 'resuming' : 'subscribing' });
    this.#watch();
  }

  #receive(text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return this.#retry({ reason: 'unreadable frame' });
    }
    this.lastFrame = this.clock.now();
    if (this.state === 'STALE') this.#setState(this.#settled() ? 'LIVE' : 'RESYNC');
    if (frame.view !== undefined && frame.type !== 'subscribed' && frame.view !== this.viewText) return;
    switch (frame.type) { // unknown types are skipped: a newer server may say more than this client knows
      case 'hello': return this.#hello(frame);
      case 'subscribed': return this.#subscribed(frame);
      case 'snapshot': return this.#snapshot(frame);
      case 'delta': return this.#delta(frame);
      case 'heartbeat': return this.#heartbeat(frame);
      case 'reset': return this.#awaitSnapshot(frame.why ?? 'reset', false);
      case 'error': return this.#error(frame);
      case 'bye': this.bye = frame;
    }
  }

  #settled() {
    return this.resumable && this.viewText !== null && this.shadow === null && this.snapshotAwaited === null;
  }

  #hello(frame) {
    this.serverClock.samples = []; // another connection may be another node
    this.serverClock.sample(frame.now);
    this.heartbeatMs = this.options.heartbeatMs ?? frame.heartbeat_ms ?? this.heartbeatMs;
    this.#watch();
  }

  #subscribed(frame) {
    if (frame.id !== this.subscribeId) return;
    this.viewText = frame.view;
    const sameEpoch = this.resumable && frame.epoch === this.table.epoch;
    if (frame.how === 'snapshot' || !sameEpoch) this.#awaitSnapshot('snapshot', sameEpoch);
    else this.#setState('LIVE');
  }

  #awaitSnapshot(why, resumable) {
    this.resumable = resumable;
    this.shadow = null;
    this.snapshotAwaited = this.clock.now();
    this.#setState('RESYNC', { reason: why });
  }

  #snapshot(frame) {
    if (frame.part === 0) {
      this.shadow = new Table(frame.epoch, frame.seq);
      this.nextPart = 0;
      this.snapshotAwaited = null;
    }
    const shadow = this.shadow;
    if (!shadow) return; // the rest of a snapshot already refused
    if (frame.part !== this.nextPart || frame.seq !== shadow.seq || frame.epoch !== shadow.epoch) {
      return this.#resync('snapshot parts', true);
    }
    this.nextPart += 1;
    shadow.take(frame);
    if (!frame.last) return;
    if (shadow.count !== frame.count || shadow.hash !== frame.hash) return this.#resync('snapshot hash', true);
    const changed = new Set([...this.table.agents.keys(), ...shadow.agents.keys()]);
    this.table = shadow;
    this.shadow = null;
    this.resumable = true;
    this.counters.snapshots += 1;
    this.options.onChange?.(this.table, changed);
    this.#setState('LIVE');
  }

  #delta(frame) {
    if (!this.resumable) return; // told to forget: a snapshot is on its way
    if (frame.to <= this.table.seq) return void (this.counters.dropped += 1);
    if (frame.from > this.table.seq) return this.#resync('gap');
    const changed = this.table.take(frame);
    this.table.seq = frame.to;
    if (Number.isFinite(frame.at)) this.lagMs = Math.max(0, this.now() - frame.at);
    this.options.onChange?.(this.table, changed);
  }

  #heartbeat(frame) {
    this.serverClock.sample(frame.now);
    this.lagMs = Math.max(0, this.now() - frame.now);
    if (this.snapshotAwaited !== null && this.clock.now() - this.snapshotAwaited > DEAD_AFTER * this.heartbeatMs) {
      this.resumable = false;
      return this.#retry({ reason: 'no snapshot' });
    }
    const entry = frame.views?.find(([view]) => view === this.viewText);
    if (entry && this.resumable && !this.shadow) this.#verify(entry[1], entry[2]);
    if (this.state !== 'LIVE') return;
    this.attempt = 0; // healthy for a heartbeat: the next disconnection starts from the shortest wait
    this.#setState('LIVE');
  }

  #verify(seq, hash) {
    // Behind us only while a catch-up that was rounded down is under way: it proves nothing about our rows.
    if (hash === null || hash === undefined || seq < this.table.seq) return;
    if (hash !== this.table.hash) {
      if (this.snapshotAwaited === null) this.counters.hash_mismatches += 1;
      return this.#resync('heartbeat hash');
    }
    this.failures = 0;
    this.snapshotAwaited = null;
    const moved = seq !== this.table.seq;
    this.table.seq = seq;
    if (moved) this.options.onChange?.(this.table, new Set());
    if (this.state === 'RESYNC') this.#setState('LIVE');
  }

  #resync(why, again = false) {
    if (!again && this.snapshotAwaited !== null) return; // one request is enough
    this.counters.resyncs += 1;
    this.failures += 1;
    if (this.failures > RESYNCS_IN_A_ROW) {
      this.failures = 0;
      this.resumable = false;
      return this.#retry({ reason: why });
    }
    this.socket.send(JSON.stringify({ type: 'resync', view: this.viewText }));
    this.#awaitSnapshot(why, this.resumable);
  }

  #error(frame) {
    this.options.onError?.({ code: frame.code, message: frame.message });
    if (frame.id !== this.subscribeId) return;
    if (frame.retry) this.#retry({ reason: frame.message });
    else this.#giveUp({ code: frame.code, reason: frame.message });
  }

  #watch() {
    this.clock.clearTimeout(this.watchdog);
    const idle = this.clock.now() - this.lastFrame;
    const stale = idle >= STALE_AFTER * this.heartbeatMs;
    if (idle >= DEAD_AFTER * this.heartbeatMs) return this.#retry({ reason: 'no heartbeat' });
    if (stale && this.state !== 'STALE') this.#setState('STALE');
    const next = (stale ? DEAD_AFTER : STALE_AFTER) * this.heartbeatMs - idle;
    this.watchdog = this.clock.setTimeout(() => this.#watch(), Math.ceil(next));
  }

  #closed(event) {
    // Networks lose close frames; the goodbye said the same thing before.
    const code = event.code >= 4000 ? event.code : this.bye?.code ?? event.code;
    const reason = event.reason || null;
    if (code >= 4000 && code < 4100) return this.#giveUp({ code, reason });
    const [lo, hi = lo] = this.bye?.retry_ms ?? [];
    const inWindow = code >= 4200 && code < 4300 && Number.isFinite(lo);
    this.#retry({ code, reason, delay: inWindow ? lo + this.clock.random() * (hi - lo) : undefined, atLeast: lo });
  }

  #giveUp({ code = null, reason }) {
    this.#abandon();
    this.#setState('OFFLINE', { final: true, code, reason });
  }

  /** Full jitter: a thousand boards that lost one server must not come back in one wave. */
  #retry({ code = null, reason = null, delay, atLeast = 0 }) {
    this.#abandon();
    const ceiling = Math.min(BACKOFF_LAST_MS, BACKOFF_FIRST_MS * 2 ** this.attempt);
    const wait = delay ?? Math.max(atLeast || 0, this.clock.random() * ceiling);
    this.attempt += 1;
    this.retryTimer = this.clock.setTimeout(() => this.#connect(), wait);
    this.#setState('OFFLINE', { code, reason, retry_at: this.now() + wait });
  }

  #abandon() {
    this.run += 1;
    this.clock.clearTimeout(this.watchdog);
    this.clock.clearTimeout(this.retryTimer);
    this.retryTimer = null;
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.close(1000); // its events belong to an earlier run and are not listened to
  }
}
