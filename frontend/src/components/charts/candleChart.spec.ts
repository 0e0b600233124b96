import { describe, expect, it } from 'vitest'
import type { Bar } from '@/api/trading'
import { arrowsOf, type FillMark } from './candleChart'

const MINUTE = 60_000
const bars = Array.from({ length: 40 }, (_, i): Bar => [i * MINUTE, 1, 1, 1, 1, 1])
const mark = (at: number, side: FillMark['side'], text = '0,5'): FillMark => ({ at, side, text })

describe('arrowsOf', () => {
  it('draws one arrow per candle and side, and says how many executions it stands for', () => {
    const marks = [mark(3 * MINUTE + 5, 'buy'), mark(2 * MINUTE, 'sell', '7'), mark(3 * MINUTE + 9, 'buy'), mark(3 * MINUTE, 'sell', '1')]
    expect(arrowsOf(marks, bars)).toEqual([mark(2 * MINUTE, 'sell', '7'), mark(3 * MINUTE, 'buy', '× 2'), mark(3 * MINUTE, 'sell', '1')])
  })

  it('leaves out what is older than the first candle', () => {
    expect(arrowsOf([mark(-1, 'buy')], bars)).toEqual([])
    expect(arrowsOf([mark(5, 'buy')], [])).toEqual([])
  })

  it('drops the words when they would cover each other, and keeps the arrows', () => {
    const few = Array.from({ length: 24 }, (_, i) => mark(i * MINUTE, 'buy'))
    expect(arrowsOf(few, bars).every((arrow) => arrow.text === '0,5')).toBe(true)
    const many = arrowsOf([...few, mark(30 * MINUTE, 'sell')], bars)
    expect(many).toHaveLength(25)
    expect(many.every((arrow) => arrow.text === '')).toBe(true)
  })
})
