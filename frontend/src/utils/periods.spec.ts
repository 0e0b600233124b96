import { expect, it } from 'vitest'
import { monthWeeks, parseDay, periodStart, shiftMonth, shortDay } from './periods'

it('counts today among the days of a period', () => {
  expect(periodStart('7d', '2026-03-03')).toBe('2026-02-25')
  expect(periodStart('1y', '2026-01-01')).toBe('2025-01-02')
  expect(periodStart('all', '2026-01-01')).toBeNull()
})

it('reads and writes short days, and refuses what is none', () => {
  expect(parseDay('26.02.28')).toBe('2026-02-28')
  expect(parseDay('26.02.30')).toBeNull()
  expect(parseDay('hier')).toBeNull()
  expect(shortDay('2026-11-02')).toBe('26.11.02')
})

it('shows a month in whole weeks from Monday', () => {
  const november = monthWeeks('2026-11') // the 1st is a Sunday, the 30th a Monday
  expect(november).toHaveLength(42)
  expect(november[0]).toEqual({ day: '2026-10-26', inMonth: false })
  expect(november.at(-1)).toEqual({ day: '2026-12-06', inMonth: false })
  expect(monthWeeks('2027-02')).toHaveLength(28) // Monday the 1st to Sunday the 28th
})

it('goes from month to month across the year', () => {
  expect(shiftMonth('2026-12', 1)).toBe('2027-01')
  expect(shiftMonth('2026-01', -1)).toBe('2025-12')
})
