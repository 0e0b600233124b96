import { computed, onMounted, onUnmounted, ref } from 'vue'
import { ApiError, messageOf } from '@/api/errors'
import { useBrokers } from '@/stores/brokers'
import { useTrading } from '@/stores/trading'
import { useTradingFeed } from '@/stores/tradingFeed'
import { terminal } from '@/websocket/trading'
import { useLoad, type LoadState } from './useAsync'

const MEMORY = 'aristobot.trading'
/** How the server says that a symbol is not (or no longer) there. */
const GONE = new Set(['unknown_symbol', 'not_found'])
const FAVOURITE = 'BTC/USDT'
const DEFAULT_TIMEFRAME = '5m'
/** The timeframes a row of buttons has room for; others stay out. */
const BUTTONS = ['1m', '3m', '5m', '10m', '15m', '1h', '2h', '4h', '1d', '1w']

interface Memory {
  broker?: number
  timeframe?: string
  symbols: Record<number, string>
}

function remembered(): Memory {
  try {
    const known = JSON.parse(localStorage.getItem(MEMORY) ?? '{}') as Partial<Memory>
    return { ...known, symbols: known.symbols ?? {} }
  } catch {
    return { symbols: {} }
  }
}

/** Reads the candles of what the feed aims at; the last reading wins, whatever was still under way. */
function useCandles() {
  const feed = useTradingFeed()
  const pending = ref(false)
  const message = ref<string | null>(null)
  let turn = 0

  async function read(): Promise<void> {
    const mine = ++turn
    pending.value = true
    message.value = null
    try {
      await feed.loadBars()
    } catch (error) {
      if (mine === turn) message.value = messageOf(error)
    } finally {
      if (mine === turn) pending.value = false
    }
  }

  const state = computed<LoadState>(() => {
    if (feed.bars.length) return 'ready'
    if (pending.value) return 'loading'
    return message.value === null ? 'empty' : 'error'
  })
  return { read, pending, message, state }
}

/** Which broker, symbol and timeframe the terminal is on, and the reading of all that depends on them. */
export function useDesk() {
  const brokers = useBrokers()
  const trading = useTrading()
  const feed = useTradingFeed()
  const memory = remembered()
  const timeframe = ref(memory.timeframe ?? DEFAULT_TIMEFRAME)
  let turn = 0

  const timeframes = computed(() => {
    const known = trading.selection?.candle_timeframes ?? []
    return BUTTONS.filter((one) => known.includes(one) || one === timeframe.value)
  })

  function remember(): void {
    memory.timeframe = timeframe.value
    if (trading.brokerId !== null) {
      memory.broker = trading.brokerId
      if (trading.symbol) memory.symbols[trading.brokerId] = trading.symbol
    }
    localStorage.setItem(MEMORY, JSON.stringify(memory))
  }

  /** The symbol to propose: the usual one where it exists, else the first that trades. */
  async function firstSymbol(broker: number): Promise<string> {
    const usual = await terminal.ask('symbols', { broker, quote: '', search: FAVOURITE, limit: 20, offset: 0 })
    if (usual.results.some((row) => row.symbol === FAVOURITE && row.active)) return FAVOURITE
    const any = await terminal.ask('symbols', { broker, quote: '', search: '', limit: 50, offset: 0 })
    return (any.results.find((row) => row.active) ?? any.results[0])?.symbol ?? ''
  }

  const candles = useCandles()

  async function turnTo(broker: number, symbol: string): Promise<void> {
    feed.aim(broker, symbol, timeframe.value)
    await trading.select(broker, { symbol, timeframe: timeframe.value })
    if (!symbol) return
    remember()
    void candles.read()
    feed.loadBook().catch(() => undefined) // the live feed brings the next one
    trading.refreshPortfolio().catch(() => undefined) // its panel says why
  }

  async function open(broker: number, wanted?: string): Promise<void> {
    const mine = ++turn
    const known = wanted ?? memory.symbols[broker]
    try {
      const symbol = known ?? (await firstSymbol(broker))
      if (mine === turn) await turnTo(broker, symbol)
    } catch (error) {
      // A symbol of another day may have left the exchange: another one is proposed.
      if (wanted || !known || !(error instanceof ApiError) || !GONE.has(error.code)) throw error
      const symbol = await firstSymbol(broker)
      if (mine === turn) await turnTo(broker, symbol)
    }
  }

  const load = useLoad(async () => {
    await brokers.refresh()
    const usable = brokers.list.filter((one) => one.is_active)
    const chosen = usable.find((one) => one.id === (trading.brokerId ?? memory.broker)) ?? usable.find((one) => one.is_default) ?? usable[0]
    if (chosen) await open(chosen.id, trading.symbol || undefined)
  }, () => !brokers.list.some((one) => one.is_active))

  async function setTimeframe(next: string): Promise<void> {
    timeframe.value = next
    if (trading.brokerId !== null) await open(trading.brokerId, trading.symbol || undefined)
  }

  onMounted(() => {
    trading.start()
    feed.start()
    void load.run()
  })
  const stopReconnect = terminal.onReconnect(() => void load.run())
  onUnmounted(() => {
    stopReconnect()
    feed.stop()
    trading.stop()
  })

  return { load, candles, timeframe, timeframes, open, setTimeframe }
}
