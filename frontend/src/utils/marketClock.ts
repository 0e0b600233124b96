/**
 * The market's clock between two readings.
 *
 * In a replay the market runs faster than the wall and stands at another date: its pace is measured
 * from the readings, and never extrapolated further than one usual interval.
 */
const MAX_EXTRAPOLATION_MS = 3_000
const PACE_WINDOW_MS = 1_000
const RESTART_MS = 60_000

interface Reading {
  market: number
  wall: number
}

export class MarketClock {
  private last: Reading | null = null
  /** The reading from which the pace is being measured. */
  private anchor: Reading | null = null
  private pace = 1

  /** Takes one reading: the market's time and the wall's, both in milliseconds. */
  observe(market: number, wall: number): void {
    const reading = { market, wall }
    // A restarted feed may go back in time: start over, but only for a real jump.
    if (!this.last || !this.anchor || this.last.market - market > RESTART_MS) {
      this.last = this.anchor = reading
      this.pace = 1
      return
    }
    if (market <= this.last.market) return
    this.last = reading
    if (wall - this.anchor.wall < PACE_WINDOW_MS) return
    this.pace = (market - this.anchor.market) / (wall - this.anchor.wall)
    this.anchor = reading
  }

  /** The market's time now, in milliseconds; null before the first reading. */
  read(wall: number): number | null {
    if (!this.last) return null
    const elapsed = Math.min(Math.max(0, wall - this.last.wall), MAX_EXTRAPOLATION_MS)
    return this.last.market + elapsed * this.pace
  }
}
