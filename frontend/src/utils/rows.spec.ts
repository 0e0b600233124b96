import { describe, expect, it } from 'vitest'
import type { CandleRow } from '@/api/core'
import { holeBetween, KEPT, mergeCandles, upsertById } from './rows'

const row = (minute: number, over: Partial<CandleRow> = {}): CandleRow => ({
  id: minute,
  timeframe: '1m',
  symbol: 'BTCUSDT',
  open_time: new Date(minute * 60_000).toISOString(),
  close_time: new Date((minute + 1) * 60_000).toISOString(),
  open: '1', high: '2', low: '1', close: '2', volume: '3',
  trade_count: 4, revision: 1, is_late: false, source: 'primary', received_at: '',
  ...over,
})
const minutes = (candles: { at: number }[]): number[] => candles.map((candle) => candle.at / 60_000)

describe('mergeCandles', () => {
  it('keeps the newest first and no more than sixty', () => {
    const history = Array.from({ length: 60 }, (_, i) => row(100 - i))
    const list = mergeCandles(mergeCandles([], history, false), [row(101)], true)
    expect(list).toHaveLength(KEPT)
    expect(minutes(list).slice(0, 2)).toEqual([101, 100])
    expect(minutes(list).at(-1)).toBe(42)
  })

  it('shows history as history and arrivals as live', () => {
    const list = mergeCandles(mergeCandles([], [row(1)], false), [row(2)], true)
    expect(list.map((candle) => candle.live)).toEqual([true, false])
  })

  it('keeps a live candle live when it is read again', () => {
    const list = mergeCandles([], [row(1)], true)
    expect(mergeCandles(list, [row(1)], false)).toBe(list)
    expect(mergeCandles(list, [row(1, { revision: 2, close: '9' })], false)[0]).toMatchObject({ live: true, close: '9' })
  })

  it('takes a later revision and refuses an earlier one', () => {
    const list = mergeCandles([], [row(1, { revision: 2, close: '7' })], true)
    expect(mergeCandles(list, [row(1, { revision: 1, close: '5' })], true)).toBe(list)
  })

  it('prefers the primary to the secondary for the same candle', () => {
    const second = mergeCandles([], [row(1, { source: 'secondary' })], true)
    expect(mergeCandles(second, [row(1)], true)[0].source).toBe('primary')
    const first = mergeCandles([], [row(1)], true)
    expect(mergeCandles(first, [row(1, { source: 'secondary' })], true)).toBe(first)
  })
})

it('counts the candles missing between two neighbours', () => {
  const [newer, older] = mergeCandles([], [row(10), row(6)], false)
  expect(holeBetween(newer, older, 60_000)).toEqual({ at: 9 * 60_000, count: 3 })
  const [next, previous] = mergeCandles([], [row(10), row(9)], false)
  expect(holeBetween(next, previous, 60_000)).toBeNull()
})

describe('upsertById', () => {
  it('merges what it knows, puts first what it does not', () => {
    const list = [{ id: 1, a: 1, b: 1 }, { id: 2, a: 2, b: 2 }]
    expect(upsertById(list, { id: 2, a: 9 } as never)).toEqual([{ id: 1, a: 1, b: 1 }, { id: 2, a: 9, b: 2 }])
    expect(upsertById(list, { id: 3, a: 3, b: 3 }, 2).map((item) => item.id)).toEqual([3, 1])
  })
})
