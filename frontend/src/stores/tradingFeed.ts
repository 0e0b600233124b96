import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import type { Bar, Book, Feed, Tape, Ticker } from '@/api/trading'
import { timeframeMs } from '@/utils/timeframe'
import { terminal } from '@/websocket/trading'

export const BARS = 500
const MAX_BARS = 5000
/** Time between two drawings of what moves: nobody reads faster. */
const DRAW_MS = 100

/** What came since the last drawing: the newest of each, and every candle that moved. */
interface Pending {
  book: Book | null
  ticker: Ticker | null
  tape: Tape | null
  price: string | null
  /** Market time of that price, 0 when the exchange does not say. */
  priceAt: number
  bars: Map<number, Bar>
}
const nothing = (): Pending => ({ book: null, ticker: null, tape: null, price: null, priceAt: 0, bars: new Map() })

/**
 * The market of the chosen symbol as it moves: book, last trades, ticker, candles.
 *
 * Events may come faster than anybody reads. They wait for one common frame, ten times a second, of which all
 * is drawn together: each kind on a frame of its own would lay out and paint the page that many times more.
 * Candles are replaced as a whole (`bars`) when read, and one at a time (`lastBar`) when they move.
 */
export const useTradingFeed = defineStore('tradingFeed', () => {
  const book = shallowRef<Book | null>(null)
  const ticker = shallowRef<Ticker | null>(null)
  const tape = shallowRef<Tape | null>(null)
  const feed = shallowRef<Feed | null>(null)
  const bars = shallowRef<Bar[]>([])
  const lastBar = shallowRef<Bar | null>(null)
  const noOlder = ref(false)
  /** Of the latest trade or ticker, whichever came last: exchanges send a ticker once a second, a trade at once. */
  const price = ref<string | null>(null)
  /** The last price known; before any came, the last candle's. */
  const last = computed(() => price.value ?? (lastBar.value ? String(lastBar.value[4]) : null))
  const stops: (() => void)[] = []
  let target = { broker: 0, symbol: '', timeframe: '' }
  let waiting = nothing()
  let frame = 0
  let drawnAt = -Infinity
  let mending = false
  let priceAt = 0

  const isOurs = (event: { broker: number; symbol: string }): boolean => event.broker === target.broker && event.symbol === target.symbol

  function draw(now: number): void {
    frame = 0
    if (now - drawnAt < DRAW_MS) return drawSoon()
    drawnAt = now
    const { book: newest, ticker: day, tape: trades, price: latest, priceAt: latestAt, bars: moved } = waiting
    waiting = nothing()
    if (newest) book.value = newest
    if (day) ticker.value = day
    if (trades) tape.value = trades
    if (latest) {
      price.value = latest
      priceAt = latestAt
    }
    moved.forEach(setBar)
    const current = bars.value.at(-1)
    if (latest && current) setBar(current)
  }

  /** The candle with the last price in it: exchanges send a candle less often than prices, and one price is shown. */
  function withLastPrice(bar: Bar): Bar {
    const [at, open, high, low, , volume] = bar
    const inside = priceAt >= at && priceAt < at + timeframeMs(target.timeframe)
    if (price.value === null || !inside) return bar
    const close = Number(price.value)
    return [at, open, Math.max(high, close), Math.min(low, close), close, volume]
  }

  function drawSoon(): void {
    if (!frame) frame = requestAnimationFrame(draw)
  }

  function followBook(next: Book): void {
    if (!isOurs(next)) return
    waiting.book = next
    drawSoon()
  }

  function followTicker(next: Ticker): void {
    if (!isOurs(next)) return
    waiting.ticker = next
    if (next.last) Object.assign(waiting, { price: next.last, priceAt: next.at ?? 0 })
    drawSoon()
  }

  function followTape(next: Tape): void {
    if (!isOurs(next)) return
    // The same trades are sent again for those who come later: they are no news of the price.
    const [known, newest] = [waiting.tape ?? tape.value, next.trades[0]]
    if (newest && String(newest) !== String(known?.trades[0])) Object.assign(waiting, { price: newest[1], priceAt: newest[0] })
    waiting.tape = next
    drawSoon()
  }

  function followBar(event: { broker: number; symbol: string; timeframe: string; candle: Bar }): void {
    if (!isOurs(event) || event.timeframe !== target.timeframe) return
    waiting.bars.set(event.candle[0], event.candle)
    drawSoon()
  }

  function setBar(said: Bar): void {
    const bar = withLastPrice(said)
    const known = bars.value.at(-1)
    const [at] = bar
    if (!known || at < known[0]) return
    if (at === known[0]) bars.value[bars.value.length - 1] = bar
    else if (at > known[0] + timeframeMs(target.timeframe)) return void mend()
    else bars.value.push(bar)
    lastBar.value = bar
  }

  /** Aims at a market; what was known of another one disappears. */
  function aim(broker: number, symbol: string, timeframe: string): void {
    const sameMarket = broker === target.broker && symbol === target.symbol
    if (sameMarket && timeframe === target.timeframe) return // read again, not started over
    target = { broker, symbol, timeframe }
    waiting.bars.clear()
    bars.value = []
    lastBar.value = null
    noOlder.value = false
    if (sameMarket) return
    waiting = nothing()
    book.value = ticker.value = tape.value = feed.value = null
    price.value = null
    priceAt = 0
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
      terminal.on('market/book', followBook),
      terminal.on('market/candle', followBar),
      terminal.on('market/ticker', followTicker),
      terminal.on('market/tape', followTape),
      terminal.on('market/feed', (next) => isOurs(next) && (feed.value = next)),
    )
  }

  function stop(): void {
    stops.splice(0).forEach((end) => end())
    cancelAnimationFrame(frame)
    frame = 0
    aim(0, '', '')
  }

  return { book, ticker, tape, feed, bars, lastBar, last, noOlder, aim, loadBars, loadOlderBars, loadBook, start, stop }
})
