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
