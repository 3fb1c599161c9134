/** The six tiles: how many agents are where. A click shows only those. */

import { shape, TILES } from './bucket.js';
import { count } from './format.js';

export class Tiles {
  /** @param {import('./filter.js').Filter} filter */
  constructor(filter) {
    this.filter = filter;
    this.tiles = TILES.map((spec, index) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'tile';
      button.dataset.tile = spec.tile;
      button.setAttribute('aria-keyshortcuts', String(index + 1));
      const [label, number, sub, share] = ['span', 'b', 'small', 'i'].map((tag) => document.createElement(tag));
      label.append(shape(spec.shape), spec.name);
      button.append(label, number, sub, share);
      button.addEventListener('click', () => this.toggle(index));
      return { spec, button, number, sub, share };
    });
    document.getElementById('tiles').append(...this.tiles.map(({ button }) => button));
  }

  toggle(index) {
    const { tile } = TILES[index];
    this.filter.set({ tile: this.filter.tile === tile ? '' : tile });
  }

  /** @param {import('./ringfence-client.js').Table} table @param {Record<string, number>} over */
  show(table, over) {
    for (const { spec, button, number, sub, share } of this.tiles) {
      const n = table.tiles[spec.tile] ?? 0;
      const part = spec.sub ? table.buckets[spec.sub] ?? 0 : over[spec.tile] ?? 0;
      const word = spec.subName ?? spec.over;
      const pressed = this.filter.tile === spec.tile;
      const shown = `${n} ${part} ${table.agents.size} ${pressed}`;
      if (button.dataset.shown === shown) continue;
      button.dataset.shown = shown;
      button.dataset.count = n;
      button.dataset.sub = part;
      button.toggleAttribute('data-alarm', part > 0 && (Boolean(spec.over) || spec.sub === 'unreachable'));
      button.setAttribute('aria-pressed', pressed);
      button.setAttribute('aria-label', `${spec.name}: ${n}, of these ${part} ${word}`);
      number.textContent = count(n);
      sub.textContent = `${count(part)} ${word}`;
      share.style.transform = `scaleX(${table.agents.size ? Math.min(1, n / table.agents.size) : 0})`;
    }
  }
}
