/** The queue strip: who waits where, and whether anybody is there to answer. A click shows the queue's agents. */

import { count, duration } from './format.js';

const NAMES = new Intl.Collator([], { numeric: true });

export class Queues {
  /** @param {import('./filter.js').Filter} filter */
  constructor(filter) {
    this.filter = filter;
    this.strip = document.getElementById('queues');
    /** @type {Map<string, HTMLButtonElement>} */ this.cards = new Map();
    this.strip.addEventListener('click', (event) => {
      const queue = event.target.closest('button')?.dataset.queue;
      if (queue) filter.set({ queue: filter.queue === queue ? '' : queue });
    });
  }

  #card(queue) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'queue';
    button.dataset.queue = queue;
    const parts = ['name', 'waiting', 'ready'].map((name) => {
      const span = document.createElement('span');
      span.className = name;
      return span;
    });
    parts[0].textContent = queue;
    button.append(...parts);
    return button;
  }

  show(table, now) {
    this.strip.hidden = table.queues.size === 0;
    for (const [id, card] of this.cards) {
      if (table.queues.has(id)) continue;
      card.remove();
      this.cards.delete(id);
    }
    const missing = [...table.queues.keys()].filter((id) => !this.cards.has(id));
    if (missing.length) {
      for (const id of missing) this.cards.set(id, this.#card(id));
      this.strip.append(...[...this.cards].sort(([a], [b]) => NAMES.compare(a, b)).map(([, card]) => card));
    }
    for (const row of table.queues.values()) this.#fill(this.cards.get(row.queue_id), row, now);
  }

  #fill(card, row, now) {
    const longest = row.waiting && row.oldest_since ? duration(now - row.oldest_since) : '';
    const level = row.service_level;
    const met = level?.total ? ` · ${Math.round((100 * level.met) / level.total)}\u202f%` : '';
    const pressed = this.filter.queue === row.queue_id;
    const shown = `${row.waiting} ${longest} ${row.ready} ${met} ${pressed}`;
    if (card.dataset.shown === shown) return;
    Object.assign(card.dataset, { shown, waiting: row.waiting, ready: row.ready });
    card.toggleAttribute('data-alarm', row.waiting > 0 && !row.ready);
    card.setAttribute('aria-pressed', pressed);
    card.children[1].textContent = `${count(row.waiting)} waiting${longest && ` ${longest}`}`;
    card.children[2].textContent = `${count(row.ready)} ready${met}`;
  }
}
