import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Bar, Book } from '@/api/trading'
import { replies } from '@/testing/desk'
import { FakeTerminal } from '@/testing/terminal'
import { terminal } from '@/websocket/trading'
import { useTradingFeed } from './tradingFeed'

let server: FakeTerminal
let feed: ReturnType<typeof useTradingFeed>
let frames: FrameRequestCallback[]

const book = (price: string, over: Partial<Book> = {}): Book => ({ broker: 1, symbol: 'BTC/USDT', bids: [[price, '1']], asks: [], at: '', ...over })
const bar = (minute: number, close: number): Bar => [minute * 60_000, 1, 2, 0.5, close, 3]
let clock = 0
/** The browser shows its next frames, until nothing waits for one. */
function show(): void {
  for (let at = 0; at < frames.length; at += 1) frames[at]((clock += 60))
  frames.length = 0
}
const candle = (one: Bar, timeframe = '1m') => server.emit('market/candle', { broker: 1, symbol: 'BTC/USDT', timeframe, candle: one, closed: false })

beforeEach(async () => {
  setActivePinia(createPinia())
  frames = []
  vi.stubGlobal('requestAnimationFrame', (callback: FrameRequestCallback) => frames.push(callback))
  server = new FakeTerminal(replies({ candles: { data: { candles: [bar(1, 1), bar(2, 1)], last_is_open: true } } })).install()
  feed = useTradingFeed()
  feed.start()
  terminal.connect()
  feed.aim(1, 'BTC/USDT', '1m')
  await feed.loadBars()
})
afterEach(() => {
  feed.stop()
  terminal.disconnect()
})

it('draws the newest book once per frame, however many come', () => {
  for (let at = 0; at < 50; at += 1) server.emit('market/book', book(String(at)))
  expect(frames).toHaveLength(1)
  expect(feed.book).toBeNull()
  frames[0](0)
  expect(feed.book?.bids[0][0]).toBe('49')
  server.emit('market/book', book('50'))
  frames[1](40) // too soon to be read: the next frame is waited for
  expect(feed.book?.bids[0][0]).toBe('49')
  frames[2](100)
  expect(feed.book?.bids[0][0]).toBe('50')
})

it('draws books, prices and candles together', () => {
  server.emit('market/book', book('1'))
  server.emit('market/ticker', { broker: 1, symbol: 'BTC/USDT', last: '7', change_24h_ratio: null, high: null, low: null, volume: null })
  candle(bar(2, 9))
  expect(frames).toHaveLength(1)
  expect(feed.ticker).toBeNull()
  show()
  expect([feed.book?.bids[0][0], feed.ticker?.last, feed.lastBar?.[4]]).toEqual(['1', '7', 9])
})

it('keeps the last word of a candle that closes while the next one begins', () => {
  candle(bar(2, 9))
  candle(bar(3, 5))
  show()
  expect(feed.bars).toEqual([bar(1, 1), bar(2, 9), bar(3, 5)])
})

it('forgets what waits for a market that was left', () => {
  server.emit('market/book', book('1'))
  candle(bar(2, 9))
  feed.aim(1, 'ETH/USDT', '1m')
  show()
  expect(feed.book).toBeNull()
  expect(feed.bars).toEqual([])
})

it('ignores another market’s book', () => {
  server.emit('market/book', book('1', { symbol: 'ETH/USDT' }))
  server.emit('market/book', book('1', { broker: 2 }))
  expect(frames).toHaveLength(0)
})

it('moves the last candle in place, adds the next, and never goes back', () => {
  candle(bar(2, 9))
  show()
  expect(feed.bars).toHaveLength(2)
  expect(feed.lastBar?.[4]).toBe(9)
  candle(bar(3, 5))
  show()
  expect(feed.bars.at(-1)).toEqual(bar(3, 5))
  candle(bar(1, 7))
  candle(bar(3, 8), '5m')
  show()
  expect(feed.lastBar).toEqual(bar(3, 5))
})

it('reads the candles again when some are missing', async () => {
  candle(bar(9, 5))
  candle(bar(10, 5))
  show()
  expect(server.of('candles')).toHaveLength(2) // the first reading and one for the hole
  await vi.waitFor(() => expect(feed.lastBar).toEqual(bar(2, 1)))
})

it('closes the current candle at the last trade, as the price above it does', () => {
  const tape = (at: number, price: string) => server.emit('market/tape', { broker: 1, symbol: 'BTC/USDT', trades: [[at, price, '1', 'buy']] })
  tape(2 * 60_000 + 500, '5')
  show()
  expect(feed.lastBar).toEqual([2 * 60_000, 1, 5, 0.5, 5, 3])
  candle(bar(2, 4)) // computed before that trade
  show()
  expect([feed.lastBar?.[4], feed.last]).toEqual([5, '5'])
  candle(bar(3, 6)) // the trade belongs to the candle before
  show()
  expect(feed.lastBar).toEqual(bar(3, 6))
})

it('takes the last price from whichever came last, a trade or the ticker, and not from trades sent again', () => {
  const ticker = (last: string) => server.emit('market/ticker', { broker: 1, symbol: 'BTC/USDT', last, change_24h_ratio: null, high: null, low: null, volume: null })
  const tape = (...trades: [number, string][]) => server.emit('market/tape', { broker: 1, symbol: 'BTC/USDT', trades: trades.map(([at, price]) => [at, price, '1', 'buy']) })
  expect(feed.last, 'before any came, the candle').toBe('1')
  ticker('100')
  tape([2000, '101'], [1000, '100'])
  show()
  expect(feed.last, 'the trade is newer than the ticker').toBe('101')
  ticker('102')
  tape([2000, '101'], [1000, '100'])
  show()
  expect(feed.last, 'the same trades again say nothing').toBe('102')
  tape([3000, '103'], [2000, '101'])
  show()
  expect(feed.last).toBe('103')
  feed.aim(1, 'ETH/USDT', '1m')
  expect(feed.last, 'nothing of another market').toBeNull()
})
