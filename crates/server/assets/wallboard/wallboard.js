/** The wallboard: puts the stream and the parts of the page together. */

import { Agents } from './agents.js';
import { Connection } from './connection.js';
import { askCredential, forgetCredential, readCredential } from './credential.js';
import { Filter } from './filter.js';
import { timeOfDay } from './format.js';
import { listen } from './keyboard.js';
import { Queues } from './queues.js';
import { RingfenceClient, Table } from './ringfence-client.js';
import { Tiles } from './tiles.js';

/** Refusals of the key itself. A refused ticket (4001) is not one: the next ticket is another. */
const REFUSED = new Set([401, 403, 404, 4003]);
const TICKET = 4001;
const NEW_TICKET_MS = 15_000;
const search = document.getElementById('search');
const clear = document.getElementById('clear');
const clock = document.getElementById('clock');
const account = document.getElementById('account');

let client = null;
let table = new Table();
let asked = false;

const now = () => client?.now() ?? Date.now();
const connection = new Connection(now);
const filter = new Filter(() => {
  agents.demand();
  redraw();
});
const tiles = new Tiles(filter);
const queues = new Queues(filter);
const agents = new Agents(filter, redraw);

/** However many frames arrive, the page is drawn once per picture; a hidden tab gets no pictures but stays true. */
function redraw() {
  if (asked) return;
  asked = true;
  if (document.hidden) setTimeout(draw, 250);
  else requestAnimationFrame(draw);
}

function draw() {
  asked = false;
  const at = connection.frozenNow();
  agents.show(table, at);
  tiles.show(table, agents.over);
  queues.show(table, at);
  if (document.activeElement !== search || search.value.trim() !== filter.q) search.value = filter.q;
  clear.hidden = !filter.active;
  Object.assign(document.body.dataset, { seq: table.seq ?? '', epoch: table.epoch ?? '', agents: table.agents.size });
}

/** On the server's full second, so that all timers of the wall turn together. */
function tick() {
  connection.tick();
  clock.textContent = timeOfDay(now());
  redraw();
  setTimeout(tick, 1000 - (now() % 1000) + 5);
}

function connect(credential) {
  account.textContent = credential.account;
  account.hidden = !credential.account;
  document.getElementById('credential').hidden = true;
  client?.stop();
  client = new RingfenceClient({
    ...credential,
    onChange: (next) => {
      if (next !== table) agents.arrangedAt = -Infinity;
      table = next;
      redraw();
    },
    onState: (state, info) => {
      connection.set(state, info);
      if (info.final && REFUSED.has(info.code)) refused(info);
      if (info.final && info.code === TICKET) setTimeout(() => client.start(), NEW_TICKET_MS);
      redraw();
    },
    onError: (error) => console.warn(`${error.code}: ${error.message}`),
  });
  client.start();
}

function refused({ code }) {
  forgetCredential();
  const forbidden = code === 403 || code === 4003;
  askCredential(connect, forbidden ? 'This key lacks the scope wallboard.' : 'The server does not know this key.');
}

function begin() {
  const credential = readCredential();
  if (credential) connect(credential);
  else askCredential(connect);
}

search.addEventListener('input', () => filter.set({ q: search.value.trim() }));
clear.addEventListener('click', () => filter.clear());
addEventListener('hashchange', () => location.hash.includes('key=') && begin());
addEventListener('online', () => client?.retryNow());
document.addEventListener('visibilitychange', redraw);
listen({ agents, tiles, filter, redraw });
begin();
tick();
