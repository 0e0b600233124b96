import { onScopeDispose, ref, shallowRef, watch, type Ref } from 'vue'
import type { RawTrade } from '@/api/core'
import { live } from '@/websocket/live'

export const MAX_LINES = 60

export interface RawLine {
  key: string
  symbol: string
  at: number
  price: string
  quantity: string
  /** The taker sold: the buyer was waiting in the book. */
  sold: boolean
}

const toMs = (instant: string | number): number => (typeof instant === 'number' ? instant : Date.parse(instant))

const toLine = (trade: RawTrade): RawLine => ({
  key: `${trade.symbol}:${trade.id}`,
  symbol: trade.symbol,
  at: toMs(trade.trade_time),
  price: trade.price,
  quantity: trade.quantity,
  sold: trade.is_buyer_maker,
})

/** Puts a batch (oldest first) on top of the lines, newest first, without a line twice. */
export function pushLines(lines: RawLine[], batch: RawTrade[]): RawLine[] {
  const fresh = batch.slice(-MAX_LINES).map(toLine).reverse()
  const known = new Set(fresh.map((line) => line.key))
  return [...fresh, ...lines.filter((line) => !known.has(line.key))].slice(0, MAX_LINES)
}

/** The last raw messages of the market while the component lives; held back while `paused`. */
export function useRawStream(paused: Ref<boolean>, onTime?: (marketMs: number) => void) {
  const lines = shallowRef<RawLine[]>([])
  const dropped = ref(0)
  const waiting = ref(0)
  let held: RawTrade[] = []

  const stop = live.on('stream/batch', (batch) => {
    dropped.value += batch.dropped
    const last = batch.messages.at(-1)
    if (last) onTime?.(toMs(last.event_time))
    if (!paused.value) {
      if (batch.messages.length) lines.value = pushLines(lines.value, batch.messages)
      return
    }
    held = [...held, ...batch.messages].slice(-MAX_LINES)
    waiting.value += batch.messages.length
  })

  watch(paused, (isPaused) => {
    if (isPaused) return
    if (held.length) lines.value = pushLines(lines.value, held)
    held = []
    waiting.value = 0
  })

  onScopeDispose(stop)
  return { lines, dropped, waiting }
}
