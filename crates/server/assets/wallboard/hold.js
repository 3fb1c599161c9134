/** Whether somebody is at the table right now: then its order is held, because a row must not flee from a pointer. */

/** A mouse left lying over a wall is not somebody. */
const POINTING_MS = 30_000;
const SCROLLING_MS = 1500;

export class Hold {
  /** @param {HTMLElement} region @param {HTMLElement} scroller */
  constructor(region, scroller) {
    this.until = 0;
    const hold = (ms) => () => {
      this.until = Math.max(this.until, performance.now() + ms);
    };
    const release = () => {
      this.until = 0;
    };
    region.addEventListener('pointermove', hold(POINTING_MS));
    region.addEventListener('keydown', hold(POINTING_MS));
    region.addEventListener('pointerleave', release);
    region.addEventListener('focusout', release);
    scroller.addEventListener('scroll', hold(SCROLLING_MS), { passive: true });
  }

  get active() {
    return performance.now() < this.until;
  }
}
