/** Which rows are shown. Kept in the URL, so that a view can be bookmarked, shared and hung on a wall. */

import { bucketName, TILES } from './bucket.js';
import { SORTS } from './order.js';

const FIELDS = ['tile', 'queue', 'q', 'sort'];
const TILE_NAMES = TILES.map(({ tile }) => tile);

/** Rows are replaced, never changed, so what was written about one stays true as long as it lives. */
const haystacks = new WeakMap();

function haystack(row) {
  let text = haystacks.get(row);
  if (text === undefined) {
    const { directory, live } = row;
    text = [
      row.agent_id, directory?.name, directory?.extension, directory?.kind, bucketName(live?.bucket), live?.bucket,
      live?.pause?.name, live?.pause?.reason_id,
      ...(directory?.queues ?? []).map(({ queue_id }) => queue_id),
      ...(directory?.tags ?? []).map((tag) => tag?.tag_id ?? tag),
    ].filter(Boolean).join('\n').toLowerCase();
    haystacks.set(row, text);
  }
  return text;
}

export class Filter {
  /** @param {() => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
    const query = new URLSearchParams(location.search);
    this.tile = TILE_NAMES.includes(query.get('tile')) ? query.get('tile') : '';
    this.queue = query.get('queue') ?? '';
    this.q = query.get('q') ?? '';
    this.sort = SORTS.includes(query.get('sort')) ? query.get('sort') : 'problems';
  }

  /** @param {Partial<Pick<Filter, 'tile'|'queue'|'q'|'sort'>>} change */
  set(change) {
    Object.assign(this, change);
    const query = new URLSearchParams(location.search);
    for (const field of FIELDS) {
      const usual = field === 'sort' ? 'problems' : '';
      if (this[field] === usual) query.delete(field);
      else query.set(field, this[field]);
    }
    history.replaceState(null, '', `${location.pathname}${query.size ? `?${query}` : ''}`);
    this.onChange();
  }

  get active() {
    return Boolean(this.tile || this.queue || this.q);
  }

  clear() {
    this.set({ tile: '', queue: '', q: '' });
  }

  /** @returns {(row: object) => boolean} */
  matcher() {
    const words = this.q.toLowerCase().split(/\s+/).filter(Boolean);
    return (row) =>
      (!this.tile || row.live?.tile === this.tile) &&
      (!this.queue || Boolean(row.directory?.queues?.some(({ queue_id }) => queue_id === this.queue))) &&
      words.every((word) => haystack(row).includes(word));
  }
}
