/** What a result looks like from afar: returns by month, spread of the gains. Shapes for the eye, not accounts. */
import type { ChartCurve } from '@/api/backtests'

export interface Year {
  year: number
  /** January first; null for a month outside the run. */
  months: (number | null)[]
  total: number
}

/** Returns of each UTC month, from the last value before it to its own last value. */
export function monthlyReturns({ time, equity }: Pick<ChartCurve, 'time' | 'equity'>, initial: number): Year[] {
  const years: Year[] = []
  let [before, yearBefore] = [initial, initial]
  time.forEach((at, index) => {
    // A close at midnight belongs to the month that ends.
    const date = new Date(at - 1)
    const next = index + 1 < time.length ? new Date(time[index + 1] - 1) : null
    const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
    if (next && next.getUTCFullYear() === year && next.getUTCMonth() === month) return
    let row = years.at(-1)
    if (row?.year !== year) {
      if (row) yearBefore = before
      row = { year, months: Array<number | null>(12).fill(null), total: 0 }
      years.push(row)
    }
    const value = equity[index]
    row.months[month] = value / before - 1
    row.total = value / yearBefore - 1
    before = value
  })
  return years
}

export interface Bin {
  /** Bounds of the bin as ratios, low included. */
  low: number
  high: number
  count: number
}

const STEPS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]
const MAX_BINS = 40

/** How often each gain was met; bins of a round width, none of which holds both gains and losses. */
export function gainBins(ratios: readonly number[]): Bin[] {
  if (!ratios.length) return []
  const [low, high] = ratios.reduce(([least, most], ratio) => [Math.min(least, ratio), Math.max(most, ratio)], [0, 0])
  const width = STEPS.find((step) => (high - low) / step <= MAX_BINS - 2) ?? (high - low) / (MAX_BINS - 2)
  const first = Math.floor(low / width)
  const bins = Array.from({ length: Math.floor(high / width) - first + 1 }, (_, index) => ({ low: (first + index) * width, high: (first + index + 1) * width, count: 0 }))
  for (const ratio of ratios) bins[Math.floor(ratio / width) - first].count += 1
  return bins
}
