import { expect, it } from 'vitest'
import { gainBins, monthlyReturns } from './spread'

const at = (month: number, day: number, hour = 0) => Date.UTC(2026, month - 1, day, hour)

it('counts a close at midnight in the month that ends, and each month from the last value before it', () => {
  // 100 → 110 by the end of January, → 99 by mid-March; nothing in February.
  const [year] = monthlyReturns({ time: [at(1, 15), at(2, 1), at(3, 15)], equity: [105, 110, 99] }, 100)
  expect(year?.months[0]).toBeCloseTo(0.1)
  expect(year?.months[1]).toBeNull()
  expect(year?.months[2]).toBeCloseTo(-0.1)
  expect(year?.total).toBeCloseTo(-0.01)
})

it('keeps gains and losses in different bins, all of one width', () => {
  const bins = gainBins([-0.0004, 0.0004, 0.02, -0.01])
  expect(bins.reduce((sum, bin) => sum + bin.count, 0)).toBe(4)
  expect(bins.every((bin) => bin.high <= 1e-9 || bin.low >= -1e-9)).toBe(true)
  expect(gainBins([])).toEqual([])
})
