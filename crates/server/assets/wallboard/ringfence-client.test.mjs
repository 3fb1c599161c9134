// node --test ringfence-client.test.mjs
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { RingfenceClient, SUBPROTOCOL, rowHash } from './ringfence-client.js';

const VIEW = 'account';

/** Time that moves only when told to. */
class FakeClock {
  constructor() {
    this.time = 1_000_000;
    this.timers = new Map();
    this.last = 0;
    this.chance = 0.5;
    this.now = () => this.time;
    this.random = () => this.chance;
    this.setTimeout = (run, ms) => (this.timers.set((this.last += 1), { run, at: this.time + ms }), this.last);
    this.clearTimeout = (timer) => this.timers.delete(timer);
  }
  async advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.time = Math.max(this.time, due[1].at);
      due[1].run();
      await settle();
    }
    this.time = end;
  }
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

function harness(options = {}) {
  const clock = new FakeClock();
  const sockets = [];
  const tickets = [];
  const states = [];
  const changes = [];
  class FakeSocket {
    constructor(url, protocols) {
      Object.assign(this, { url, protocols, sent: [], closed: false });
      sockets.push(this);
    }
    send(text) {
      this.sent.push(JSON.parse(text));
    }
    close() {
      this.closed = true;
    }
    say(frame) {
      this.onmessage({ data: JSON.stringify(frame) });
    }
    drop(code = 1006, reason = '') {
      this.onclose({ code, reason });
    }
    asked(type) {
      return this.sent.filter((frame) => frame.type === type);
    }
  }
  const fetch = async (url, request) => {
    tickets.push({ url, request });
    const status = options.ticketStatus?.(tickets.length) ?? 200;
    const headers = new Map([['Retry-After', '7']]);
    const body = { ticket: `t/${tickets.length}`, expires_at: 0 };
    return { ok: status === 200, status, headers, json: async () => body };
  };
  const client = new RingfenceClient({
    origin: 'https://board.example', key: 'sk_test', account: 'acme', heartbeatMs: 1000,
    WebSocket: FakeSocket, fetch, clock,
    onState: (state, info) => states.push({ state, ...info }),
    onChange: (table, changed) => changes.push({ seq: table.seq, changed: [...changed].sort() }),
  });
  const open = async () => {
    const socket = sockets.at(-1);
    socket.onopen();
    socket.say({ type: 'hello', session: 's', node: 'n', now: clock.time + 5000, heartbeat_ms: 1000 });
    return socket;
  };
  const last = () => states.at(-1);
  return { client, clock, sockets, tickets, states, changes, open, last };
}

const agent = (id, seq, bucket = 'ready', directory = { name: `Agent ${id}` }) => ({
  agent_id: id, seq, directory, live: { bucket }, today: { accepted: 0 },
});
const queue = (id, seq) => ({ queue_id: id, seq, waiting: 0, oldest_since: null, ready: 1 });
const hashOf = (rows) => rows.reduce((sum, row) => (sum + rowHash(row.agent_id ?? row.queue_id, row.seq)) >>> 0, 0);
const subscribed = (socket, seq, how = 'snapshot', epoch = 'e1') =>
  socket.say({ type: 'subscribed', id: socket.asked('subscribe')[0].id, view: VIEW, epoch, seq, how });
const snapshot = (socket, seq, agents, queues = [], over = {}) =>
  socket.say({
    type: 'snapshot', view: VIEW, epoch: 'e1', seq, part: 0, last: true, agents, queues,
    tiles: { available: agents.length }, buckets: { ready: agents.length },
    count: agents.length + queues.length, hash: hashOf([...agents, ...queues]), ...over,
  });
const delta = (socket, from, to, over = {}) =>
  socket.say({ type: 'delta', view: VIEW, from, to, at: 0, agents: [], queues: [], removed: [], folded: 1, ...over });

async function live(options) {
  const h = harness(options);
  h.client.start();
  await settle();
  const socket = await h.open();
  subscribed(socket, 10);
  snapshot(socket, 10, [agent('1001', 4), agent('1002', 10)], [queue('support', 7)]);
  return { ...h, socket };
}

test('the row hash is FNV-1a-32 of the UTF-8 text', () => {
  assert.equal(rowHash('1001', 4), 3280526745);
  assert.equal(rowHash('séance', 17), 3064803269);
});

test('mints a ticket, subscribes, and shows nothing before the snapshot is verified', async () => {
  const h = harness();
  h.client.start();
  await settle();
  assert.equal(h.tickets[0].url, 'https://board.example/v1/tickets');
  assert.equal(h.tickets[0].request.headers.Authorization, 'Bearer sk_test');
  assert.equal(h.tickets[0].request.headers['X-Account-Id'], 'acme');
  const socket = await h.open();
  assert.equal(socket.url, 'wss://board.example/v1/stream?ticket=t%2F1');
  assert.deepEqual(socket.protocols, [SUBPROTOCOL]);
  const [frame] = socket.asked('subscribe');
  assert.deepEqual([frame.view, frame.class, frame.since], [{ account: true }, 250, undefined]);
  subscribed(socket, 10);
  const [one, two] = [agent('1001', 4), agent('1002', 10)];
  snapshot(socket, 10, [one], [], { last: false, count: undefined, hash: undefined });
  assert.equal(h.client.table.agents.size, 0);
  snapshot(socket, 10, [two], [], { part: 1, count: 2, hash: hashOf([one, two]) });
  assert.equal(h.client.table.agents.size, 2);
  assert.equal(h.last().state, 'LIVE');
  assert.deepEqual(h.changes, [{ seq: 10, changed: ['1001', '1002'] }]);
});

test('a delta replaces the fragments it carries and keeps the others', async () => {
  const { client, socket, changes } = await live();
  delta(socket, 10, 12, {
    agents: [{ agent_id: '1001', seq: 12, live: { bucket: 'paused' }, today: { accepted: 3 } }],
    removed: ['1002', 'never-held'], removed_queues: ['support'], tiles: { paused: 1 }, buckets: { paused: 1 },
  });
  const row = client.table.agents.get('1001');
  assert.deepEqual([row.directory.name, row.live.bucket, row.today.accepted], ['Agent 1001', 'paused', 3]);
  assert.deepEqual([client.table.agents.size, client.table.queues.size, client.table.seq], [1, 0, 12]);
  assert.equal(client.table.hash, rowHash('1001', 12));
  assert.deepEqual(client.table.tiles, { paused: 1 });
  assert.deepEqual(changes.at(-1).changed, ['1001', '1002', 'never-held']);
});

test('a duplicate is dropped', async () => {
  const { client, socket, changes } = await live();
  const before = changes.length;
  delta(socket, 8, 10, { agents: [agent('1001', 9, 'offline')] });
  assert.equal(client.table.agents.get('1001').live.bucket, 'ready');
  assert.equal(changes.length, before);
  assert.equal(socket.asked('resync').length, 0);
});

test('an overlap is legal; a row older than the one held is left alone', async () => {
  const { client, socket } = await live();
  delta(socket, 3, 14, { agents: [agent('1001', 14, 'ringing'), agent('1002', 6, 'offline')] });
  assert.equal(client.table.agents.get('1001').live.bucket, 'ringing');
  assert.equal(client.table.agents.get('1002').live.bucket, 'ready');
  assert.equal(client.table.seq, 14);
});

test('a gap asks for one resync and applies nothing', async () => {
  const { client, socket, last } = await live();
  delta(socket, 11, 13, { agents: [agent('1001', 13, 'paused')] });
  delta(socket, 13, 15, { agents: [agent('1001', 15, 'offline')] });
  assert.deepEqual(socket.asked('resync'), [{ type: 'resync', view: VIEW }]);
  assert.equal(client.table.agents.get('1001').live.bucket, 'ready');
  assert.equal(last().state, 'RESYNC');
  socket.say({ type: 'reset', view: VIEW, why: 'resync' });
  snapshot(socket, 15, [agent('1001', 15, 'offline')]);
  assert.deepEqual([last().state, client.table.seq, client.table.agents.size], ['LIVE', 15, 1]);
});

test('a snapshot with a wrong hash or count is not shown and is asked for again', async () => {
  for (const lie of [{ hash: 1 }, { count: 9 }]) {
    const { client, socket, last } = await live();
    delta(socket, 11, 13);
    snapshot(socket, 20, [agent('1001', 20, 'paused')], [], lie);
    assert.equal(client.table.seq, 10);
    assert.equal(socket.asked('resync').length, 2);
    assert.equal(last().state, 'RESYNC');
    snapshot(socket, 21, [agent('1001', 21, 'paused')]);
    assert.deepEqual([client.table.seq, last().state], [21, 'LIVE']);
  }
});

test('a snapshot with a part missing is asked for again', async () => {
  const { client, socket } = await live();
  snapshot(socket, 20, [agent('1001', 20)], [], { last: false });
  snapshot(socket, 20, [agent('1002', 20)], [], { part: 2 });
  assert.deepEqual([client.table.seq, socket.asked('resync').length], [10, 1]);
});

test('snapshots that never agree end in a fresh connection without a token', async () => {
  const { clock, socket, sockets, open } = await live();
  delta(socket, 11, 13);
  for (let n = 0; n < 3; n += 1) snapshot(socket, 20, [agent('1001', 20)], [], { hash: 1 });
  assert.equal(socket.asked('resync').length, 3);
  assert.ok(socket.closed);
  await clock.advance(1000);
  await open();
  assert.equal(sockets.at(-1).asked('subscribe')[0].since, undefined);
});

test('a heartbeat with an equal hash moves the cursor', async () => {
  const { client, socket, last } = await live();
  socket.say({ type: 'heartbeat', now: 0, views: [[VIEW, 17, client.table.hash]] });
  assert.equal(client.table.seq, 17);
  delta(socket, 17, 18);
  assert.deepEqual([client.table.seq, last().state, socket.asked('resync').length], [18, 'LIVE', 0]);
});

test('a heartbeat without a hash, or behind us, proves nothing', async () => {
  const { client, socket } = await live();
  socket.say({ type: 'heartbeat', now: 0, views: [[VIEW, 17, null], ['queue:other', 3, 5]] });
  socket.say({ type: 'heartbeat', now: 0, views: [[VIEW, 9, 12345]] });
  assert.deepEqual([client.table.seq, socket.asked('resync').length], [10, 0]);
});

test('a heartbeat with another hash is counted and resynchronised', async () => {
  const { client, socket, last } = await live();
  socket.say({ type: 'heartbeat', now: 0, views: [[VIEW, 10, client.table.hash ^ 1]] });
  assert.equal(socket.asked('resync').length, 1);
  assert.equal(client.counters.hash_mismatches, 1);
  assert.equal(last().state, 'RESYNC');
});

test('reset forgets: deltas do not apply until the snapshot, which may be of another epoch', async () => {
  const { client, socket, last } = await live();
  socket.say({ type: 'reset', view: VIEW, why: 'epoch' });
  assert.equal(last().state, 'RESYNC');
  delta(socket, 10, 11, { agents: [agent('1001', 11, 'paused')] });
  assert.equal(client.table.agents.get('1001').live.bucket, 'ready');
  snapshot(socket, 2, [agent('2001', 2)], [], { epoch: 'e2' });
  assert.deepEqual([client.table.epoch, client.table.seq, [...client.table.agents.keys()]], ['e2', 2, ['2001']]);
  assert.equal(last().state, 'LIVE');
});

test('reconnects with its token and resumes without a snapshot', async () => {
  const { client, clock, socket, sockets, tickets, open, last } = await live();
  socket.drop(1006);
  assert.equal(last().state, 'OFFLINE');
  await clock.advance(500);
  assert.equal(tickets.length, 2);
  const again = await open();
  assert.deepEqual(again.asked('subscribe')[0].since, { epoch: 'e1', seq: 10 });
  subscribed(again, 13, 'catch_up');
  delta(again, 8, 13, { agents: [agent('1002', 13, 'in_call')] });
  assert.equal(client.table.agents.get('1002').live.bucket, 'in_call');
  assert.deepEqual([client.table.seq, last().state, sockets.length], [13, 'LIVE', 2]);
  socket.onclose({ code: 4001 }); // late news of the old connection
  assert.equal(last().state, 'LIVE');
});

test('40xx stops', async () => {
  const { clock, socket, sockets, last } = await live();
  socket.drop(4077);
  assert.deepEqual([last().state, last().final, last().code], ['OFFLINE', true, 4077]);
  await clock.advance(120_000);
  assert.equal(sockets.length, 1);
});

test('41xx backs off with full jitter from 0.5 s to 30 s', async () => {
  const { clock, socket, sockets, states } = await live();
  clock.chance = 1;
  socket.drop(4177);
  const waits = [];
  for (let n = 0; n < 9; n += 1) {
    waits.push(states.at(-1).retry_at - clock.time - 5000);
    await clock.advance(waits.at(-1));
    sockets.at(-1).drop(4100);
  }
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
});

test('42xx comes back inside the window of the goodbye', async () => {
  const { clock, socket, sockets } = await live();
  clock.chance = 0.25;
  socket.say({ type: 'bye', code: 4200, retry_ms: [4000, 8000] });
  socket.drop(1006); // the close frame got lost
  await clock.advance(4999);
  assert.equal(sockets.length, 1);
  await clock.advance(1);
  assert.equal(sockets.length, 2);
});

test('a refused key stops, an overloaded server is left alone as long as it asks', async () => {
  const refused = harness({ ticketStatus: () => 403 });
  refused.client.start();
  await settle();
  assert.deepEqual([refused.last().final, refused.last().code, refused.sockets.length], [true, 403, 0]);
  const busy = harness({ ticketStatus: (n) => (n === 1 ? 503 : 200) });
  busy.client.start();
  await settle();
  await busy.clock.advance(6999);
  assert.equal(busy.tickets.length, 1);
  await busy.clock.advance(1);
  assert.equal(busy.tickets.length, 2);
});

test('silence is stale at 2.2 intervals and dead at 3; a frame in between makes it live again', async () => {
  const { clock, socket, sockets, last } = await live();
  await clock.advance(2199);
  assert.equal(last().state, 'LIVE');
  await clock.advance(1);
  assert.equal(last().state, 'STALE');
  socket.say({ type: 'heartbeat', now: 0, views: [] });
  assert.equal(last().state, 'LIVE');
  await clock.advance(3000);
  assert.deepEqual([last().state, socket.closed], ['OFFLINE', true]);
  await clock.advance(500);
  assert.equal(sockets.length, 2);
});

test('the clock offset comes from the least delayed sample', async () => {
  const { client, clock, socket, last } = await live();
  assert.equal(client.now(), clock.time + 5000);
  socket.say({ type: 'heartbeat', now: clock.time + 4800, views: [] });
  assert.equal(client.now(), clock.time + 5000);
  assert.equal(last().lag_ms, 200);
});
