import { expect, it } from 'vitest'
import { MarketClock } from './marketClock'

it('knows nothing before the first reading', () => expect(new MarketClock().read(5)).toBeNull())

it('runs at the pace of the replay', () => {
  const clock = new MarketClock()
  clock.observe(1_000_000, 0)
  clock.observe(1_120_000, 2_000) // 120 s of market in 2 s: 60 times
  expect(clock.read(3_000)).toBe(1_180_000)
})

it('measures the pace over a second, however often it is told the time', () => {
  const clock = new MarketClock()
  for (let wall = 0; wall <= 1_000; wall += 100) clock.observe(1_000_000 + wall * 10, wall)
  expect(clock.read(1_100)).toBe(1_011_000)
})

it('stops rather than invent time when readings cease', () => {
  const clock = new MarketClock()
  clock.observe(1_000_000, 0)
  expect(clock.read(60_000)).toBe(1_003_000)
})

it('does not go back for a late reading, but follows a feed that starts again', () => {
  const clock = new MarketClock()
  clock.observe(1_000_000, 0)
  clock.observe(999_000, 1_000)
  expect(clock.read(0)).toBe(1_000_000)
  clock.observe(10_000, 2_000)
  expect(clock.read(2_000)).toBe(10_000)
})
