/** The order book as it is drawn: levels with their running total and their share of the deepest one. */
import type { Level } from '@/api/trading'
import { sumDecimals } from './format'

export const DEPTH = 20

export interface Row {
  price: string
  quantity: string
  total: string
  /** Length of the depth bar, in percent: drawing only. */
  share: number
}

/** The first `count` levels of one side, best first. */
export function depthRows(levels: readonly Level[], count = DEPTH): Row[] {
  let total = '0'
  const rows = levels.slice(0, count).map(([price, quantity]) => {
    total = sumDecimals([total, quantity])
    return { price, quantity, total, share: 0 }
  })
  const deepest = Number(total)
  return rows.map((row) => ({ ...row, share: deepest > 0 ? Math.round((Number(row.total) / deepest) * 100) : 0 }))
}

/** The exact gap between the best prices, or null when a side is empty. */
export function spreadOf(bids: readonly Level[], asks: readonly Level[]): string | null {
  if (!bids.length || !asks.length) return null
  return sumDecimals([asks[0][0], `-${bids[0][0]}`])
}

export interface Walk {
  /** Average price of what these levels execute. */
  average: number
  /** Price of the last level it reaches. */
  worst: number
  /** Quantity for which there are levels, at most the one asked for. */
  covered: number
}

/** What a market order of that quantity meets on the side it takes from, best level first; null on an empty side. */
export function walk(levels: readonly Level[], quantity: number): Walk | null {
  let [covered, paid, worst] = [0, 0, 0]
  for (const [price, size] of levels) {
    const taken = Math.min(Number(size), quantity - covered)
    if (taken <= 0) break
    worst = Number(price)
    covered += taken
    paid += taken * worst
  }
  return covered > 0 ? { average: paid / covered, worst, covered } : null
}
