/** The table of agents. Only the rows in sight exist; five thousand agents cost what forty cost. */

import { AgentRow } from './agent-row.js';
import { arrange } from './order.js';
import { Hold } from './hold.js';
import { count } from './format.js';

const OVERSCAN = 6;
const ARRANGE_MS = 1000; // rows change places at most once a second; what they say changes at once
const STEADY = matchMedia('(prefers-reduced-motion: reduce)');

export class Agents {
  /** @param {import('./filter.js').Filter} filter @param {() => void} redraw asks for a `show` soon */
  constructor(filter, redraw) {
    this.filter = filter;
    this.grid = document.getElementById('agents');
    this.viewport = this.grid.querySelector('.viewport');
    this.rows = this.grid.querySelector('.rows');
    this.empty = document.getElementById('empty');
    this.shownCount = document.getElementById('shown');
    this.held = document.getElementById('held');
    this.hold = new Hold(this.grid, this.viewport);
    /** @type {string[]} */ this.ids = [];
    /** @type {Map<string, number>} */ this.index = new Map();
    /** @type {Map<string, AgentRow>} */ this.drawn = new Map();
    /** @type {AgentRow[]} */ this.free = [];
    this.made = 0;
    this.over = {};
    this.arrangedAt = -Infinity;
    this.active = null; // the agent the keyboard is at
    this.viewport.addEventListener('scroll', redraw, { passive: true });
    new ResizeObserver(() => {
      this.measured = false;
      redraw();
    }).observe(this.viewport);
    this.rows.addEventListener('click', (event) => {
      const id = event.target.closest('.row')?.dataset.agent;
      if (id) this.active = id;
      redraw();
    });
    this.grid.querySelector('.head').addEventListener('click', (event) => {
      const sort = event.target.closest('[data-sort]')?.dataset.sort;
      if (sort) filter.set({ sort: filter.sort === sort ? 'problems' : sort });
    });
  }

  /** The next drawing puts the rows in order, pointer or not: somebody asked for it. */
  demand() {
    this.demanded = true;
    this.viewport.scrollTop = 0;
  }

  show(table, now) {
    const due = performance.now() - this.arrangedAt >= ARRANGE_MS;
    const held = this.hold.active && !this.demanded && this.ids.length > 0;
    this.held.hidden = !held;
    let moved = false;
    if (this.demanded || due) moved = this.#arrange(table, now, held);
    this.#draw(table, now, moved);
  }

  #arrange(table, now, held) {
    this.arrangedAt = performance.now();
    const { ids, over } = arrange(table.agents.values(), this.filter.matcher(), this.filter.sort, now);
    this.over = over;
    this.shownCount.textContent = `${count(ids.length)} of ${count(table.agents.size)}`;
    if (held) return false;
    const glide = !this.demanded && !STEADY.matches;
    this.demanded = false;
    this.ids = ids;
    this.index = new Map(ids.map((id, position) => [id, position]));
    this.grid.setAttribute('aria-rowcount', ids.length + 1);
    this.empty.hidden = ids.length > 0;
    const why = table.agents.size ? 'No agent matches the filter' : 'No agents yet';
    this.empty.textContent = table.seq === null ? '' : why;
    for (const head of this.grid.querySelectorAll('[data-sort]')) {
      const sorted = head.dataset.sort === this.filter.sort;
      head.setAttribute('aria-sort', !sorted ? 'none' : head.dataset.sort === 'calls' ? 'descending' : 'ascending');
    }
    return glide;
  }

  #measure() {
    this.measured = true;
    this.rowHeight = parseFloat(getComputedStyle(this.rows).getPropertyValue('line-height')) || 40;
    this.height = this.viewport.clientHeight;
  }

  #draw(table, now, glide) {
    if (!this.measured) this.#measure();
    const { ids, rowHeight } = this;
    const total = `${ids.length * rowHeight}px`;
    if (this.rows.style.height !== total) this.rows.style.height = total;
    const top = this.viewport.scrollTop;
    const first = Math.max(0, Math.floor(top / rowHeight) - OVERSCAN);
    const end = Math.min(ids.length, Math.ceil((top + this.height) / rowHeight) + OVERSCAN);
    for (const [id, row] of this.drawn) {
      const position = this.index.get(id);
      if (position >= first && position < end) continue;
      this.drawn.delete(id);
      this.free.push(row);
    }
    for (let position = first; position < end; position += 1) {
      const id = ids[position];
      let row = this.drawn.get(id);
      const stays = Boolean(row);
      if (!row) this.drawn.set(id, (row = this.free.pop() ?? this.#make()));
      // A row taken over from another agent must not be seen flying across the table.
      row.node.classList.toggle('glide', glide && stays);
      this.#place(row, position, rowHeight);
      row.show(id, table.agents.get(id), now);
      row.node.toggleAttribute('data-active', id === this.active);
    }
    for (const row of this.free) row.node.hidden = true;
    const active = this.drawn.get(this.active);
    if (active) this.grid.setAttribute('aria-activedescendant', active.node.id);
    else this.grid.removeAttribute('aria-activedescendant');
  }

  #make() {
    const row = new AgentRow((this.made += 1));
    this.rows.append(row.node);
    return row;
  }

  #place(row, position, rowHeight) {
    const y = position * rowHeight;
    row.node.hidden = false;
    if (row.y === y) return;
    row.y = y;
    row.node.style.transform = `translateY(${y}px)`;
    row.node.classList.toggle('odd', position % 2 === 1);
    row.node.setAttribute('aria-rowindex', position + 2);
  }

  /** Moves the keyboard's row. @param {'ArrowUp'|'ArrowDown'|'PageUp'|'PageDown'|'Home'|'End'} key */
  move(key) {
    const last = this.ids.length - 1;
    if (last < 0) return;
    const at = this.index.get(this.active) ?? -1;
    const page = Math.max(1, Math.floor(this.height / this.rowHeight) - 1);
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, PageUp: at - page, PageDown: at + page, Home: 0, End: last }[key];
    const position = Math.min(last, Math.max(0, to));
    this.active = this.ids[position];
    const y = position * this.rowHeight;
    if (y < this.viewport.scrollTop) this.viewport.scrollTop = y;
    const below = y + this.rowHeight - this.height;
    if (below > this.viewport.scrollTop) this.viewport.scrollTop = below;
  }
}
