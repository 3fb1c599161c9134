/** Everything works without a mouse: / filters, 1–6 toggle tiles, arrows walk the rows, Esc goes one step back. */

import { TILES } from './bucket.js';

const MOVES = new Set(['ArrowUp', 'ArrowDown', 'PageUp', 'PageDown', 'Home', 'End']);

/**
 * @param {object} board
 * @param {import('./agents.js').Agents} board.agents
 * @param {import('./tiles.js').Tiles} board.tiles
 * @param {import('./filter.js').Filter} board.filter
 * @param {() => void} board.redraw
 */
export function listen({ agents, tiles, filter, redraw }) {
  const search = document.getElementById('search');

  function escape() {
    if (document.activeElement === search && filter.q) filter.set({ q: '' });
    else if (document.activeElement === search) search.blur();
    else if (agents.active) agents.active = null;
    else if (filter.active) filter.clear();
    redraw();
  }

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.('form')) return;
    const typing = event.target === search;
    if (event.key === 'Escape') escape();
    else if (event.key === '/' && !typing) search.focus();
    else if (typing && event.key === 'ArrowDown') agents.grid.focus();
    else if (!typing && event.key >= '1' && event.key <= String(TILES.length)) tiles.toggle(Number(event.key) - 1);
    else if (event.target === agents.grid && MOVES.has(event.key)) {
      agents.move(event.key);
      redraw();
    } else return;
    event.preventDefault();
  });
}
