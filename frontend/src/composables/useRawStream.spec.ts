import { describe, expect, it } from 'vitest'
import type { RawTrade } from '@/api/core'
import { MAX_LINES, pushLines } from './useRawStream'

const trade = (id: number): RawTrade => ({
  id, trade_time: 1_000 * id, event_time: 1_000 * id, symbol: 'BTCUSDT', price: '1.5', quantity: '2', is_buyer_maker: id % 2 === 0,
})
const keys = (lines: { key: string }[]) => lines.map((line) => line.key)

describe('pushLines', () => {
  it('puts the newest message of a batch on top', () => {
    const lines = pushLines(pushLines([], [trade(1), trade(2)]), [trade(3), trade(4)])
    expect(keys(lines)).toEqual(['BTCUSDT:4', 'BTCUSDT:3', 'BTCUSDT:2', 'BTCUSDT:1'])
    expect(lines[0]).toMatchObject({ at: 4_000, sold: true })
  })
  it('never shows more than sixty lines nor one twice', () => {
    const many = Array.from({ length: 200 }, (_, i) => trade(i))
    const lines = pushLines(pushLines([], many), [trade(199), trade(200)])
    expect(lines).toHaveLength(MAX_LINES)
    expect(keys(lines).slice(0, 3)).toEqual(['BTCUSDT:200', 'BTCUSDT:199', 'BTCUSDT:198'])
  })
})
