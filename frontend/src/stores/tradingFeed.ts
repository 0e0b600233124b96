import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import type { Bar, Book, Feed, Ticker } from '@/api/trading'
import { timeframeMs } from '@/utils/timeframe'
import { terminal } from '@/websocket/trading'

export const BARS = 500
const MAX_BARS = 5000
/** Time between two drawings of the book: nobody reads it faster. */
const BOOK_MS = 90

/**
 * The market of the chosen symbol as it moves: book, ticker, candles.
 *
 * Books may come faster than anybody reads: the newest waits for its frame, the others are dropped.
 * Candles are replaced as a whole (`bars`) when read, and one at a time (`lastBar`) when they move.
 */
export const useTradingFeed = defineStore('tradingFeed', () => {
  const book = shallowRef<Book | null>(null)
  const ticker = shallowRef<Ticker | null>(null)
  const feed = shallowRef<Feed | null>(null)
  const bars = shallowRef<Bar[]>([])
  const lastBar = shallowRef<Bar | null>(null)
  const noOlder = ref(false)
  /** The last price known: the ticker's, else the last candle's. */
  const last = computed(() => ticker.value?.last ?? (lastBar.value ? String(lastBar.value[4]) : null))
  const stops: (() => void)[] = []
  let target = { broker: 0, symbol: '', timeframe: '' }
  let waiting: Book | null = null
  let frame = 0
  let drawnAt = -Infinity
  let mending = false

  const isOurs = (event: { broker: number; symbol: string }): boolean => event.broker === target.broker && event.symbol === target.symbol

  function draw(now: number): void {
    frame = 0
    if (now - drawnAt < BOOK_MS) return void (frame = requestAnimationFrame(draw))
    drawnAt = now
    if (waiting) book.value = waiting
    waiting = null
  }

  function setBook(next: Book): void {
    if (!isOurs(next)) return
    waiting = next
    if (!frame) frame = requestAnimationFrame(draw)
  }

  function setBar(event: { broker: number; symbol: string; timeframe: string; candle: Bar }): void {
    if (!isOurs(event) || event.timeframe !== target.timeframe) return
    const known = bars.value.at(-1)
    const [at] = event.candle
    if (!known || at < known[0]) return
    if (at === known[0]) bars.value[bars.value.length - 1] = event.candle
    else if (at > known[0] + timeframeMs(target.timeframe)) return void mend()
    else bars.value.push(event.candle)
    lastBar.value = event.candle
  }

  /** Aims at a market; what was known of another one disappears. */
  function aim(broker: number, symbol: string, timeframe: string): void {
    const sameMarket = broker === target.broker && symbol === target.symbol
    if (sameMarket && timeframe === target.timeframe) return // read again, not started over
    target = { broker, symbol, timeframe }
    bars.value = []
    lastBar.value = null
    noOlder.value = false
    if (sameMarket) return
    waiting = book.value = null
    ticker.value = null
    feed.value = null
  }

  async function loadBars(): Promise<void> {
    const asked = target
    const { candles } = await terminal.ask('candles', { ...asked, limit: BARS })
    if (asked !== target) return
    bars.value = candles
    lastBar.value = candles.at(-1) ?? null
  }

  /** Candles are missing between the last known and the newest: they are read again, once at a time. */
  async function mend(): Promise<void> {
    if (mending) return
    mending = true
    await loadBars().catch(() => undefined) // the next candle finds the same hole, and asks again
    mending = false
  }

  async function loadOlderBars(): Promise<void> {
    const first = bars.value[0]
    const asked = target
    if (!first || noOlder.value || bars.value.length >= MAX_BARS) return
    const { candles } = await terminal.ask('candles', { ...asked, until: new Date(first[0]).toISOString(), limit: BARS })
    if (asked !== target) return
    const older = candles.filter(([at]) => at < first[0])
    if (!older.length) noOlder.value = true
    else bars.value = [...older, ...bars.value]
  }

  async function loadBook(): Promise<void> {
    const { broker, symbol } = target
    const snapshot = await terminal.ask('book', { broker, symbol, depth: 20 })
    if (isOurs({ broker, symbol }) && !book.value) book.value = { broker, symbol, ...snapshot }
  }

  function start(): void {
    if (stops.length) return
    stops.push(
      terminal.on('market/book', setBook),
      terminal.on('market/candle', setBar),
      terminal.on('market/ticker', (next) => isOurs(next) && (ticker.value = next)),
      terminal.on('market/feed', (next) => isOurs(next) && (feed.value = next)),
    )
  }

  function stop(): void {
    stops.splice(0).forEach((end) => end())
    cancelAnimationFrame(frame)
    frame = 0
    aim(0, '', '')
  }

  return { book, ticker, feed, bars, lastBar, last, noOlder, aim, loadBars, loadOlderBars, loadBook, start, stop }
})
