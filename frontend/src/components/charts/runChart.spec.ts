import { expect, it } from 'vitest'
import { alongCandles, lastAt, spacedOut } from './runChart'

it('writes a gain only where the one before leaves room', () => {
  const places: Record<string, number | null> = { a: 0, b: 30, c: 60, hidden: null, d: 110 }
  expect([...spacedOut(Object.keys(places), (name) => places[name] ?? null, 54)]).toEqual(['a', 'c'])
})

it('finds the last element at or before an instant', () => {
  const times = [10, 20, 30]
  const find = (at: number) => lastAt(times.length, (index) => times[index]!, at)
  expect([find(5), find(10), find(29), find(99)]).toEqual([-1, 0, 1, 2])
})

it('gives each candle the last point of the curve and the deepest fall inside it', () => {
  const candles = [[0, 1, 1, 1, 1, 0], [100, 1, 1, 1, 1, 0], [200, 1, 1, 1, 1, 0]]
  const curve = { time: [110, 150, 190], equity: [100, 90, 99], drawdown: [0, 0.1, 0.01], buy_and_hold: [1, 2, 3] }
  expect(alongCandles(candles, curve)).toEqual([
    { equity: null, hold: null, drawdown: null },
    { equity: 99, hold: 3, drawdown: -0.1 },
    { equity: 99, hold: 3, drawdown: -0.01 },
  ])
})
