import { expect, it } from 'vitest'
import type { Incident } from '@/api/core'
import type { Candle } from './rows'
import { moveRatio, signalLines } from './signals'

const MIN = 60_000
const candle = (minute: number, over: Partial<Candle> = {}) => ({ at: minute * MIN, revision: 1, is_late: false, ...over }) as Candle
const gap = (minute: number) => ({ kind: 'gap', market_time: new Date(minute * MIN + 30_000).toISOString(), missing_trades: 42 }) as Incident

it('puts a hole where candles are missing', () => {
  expect(signalLines([candle(9), candle(6)], [], MIN).map((line) => line.kind)).toEqual(['candle', 'hole', 'candle'])
  expect(signalLines([candle(9), candle(6)], [], MIN)[1]).toEqual({ kind: 'hole', at: 8 * MIN, count: 2 })
})

it('marks the candle that held the missing trades, the corrected and the late ones', () => {
  const lines = signalLines([candle(4), candle(3), candle(2, { revision: 2 }), candle(1, { is_late: true })], [gap(3)], MIN)
  expect(lines.map((line) => (line.kind === 'candle' ? line.note : 'hole'))).toEqual(['', 'gap', 'fixed', 'late'])
})

it('measures the move of a candle', () => {
  expect(moveRatio('100', '101.5')).toBe(0.015)
  expect(moveRatio('0', '1')).toBeNull()
})
