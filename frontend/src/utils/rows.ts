/** Pure merging of the lists that are fetched once and then fed by events. */
import type { CandleRow } from '@/api/core'
import type { OrderStatus, Trade } from '@/api/orders'
import { signOf, sumDecimals } from './format'

/** How many candles a timeframe keeps on screen. */
export const KEPT = 60

export interface Candle extends CandleRow {
  /** Opening instant in epoch milliseconds. */
  at: number
  /** Arrived while we were watching (green), as opposed to read from the database (orange). */
  live: boolean
}

const toCandle = (row: CandleRow, live: boolean): Candle => ({ ...row, at: Date.parse(row.open_time), live })

/** Whether `next` says more than `current` about the same candle: a later revision, or the primary's word. */
function supersedes(next: CandleRow, current: CandleRow): boolean {
  if (next.revision !== current.revision) return next.revision > current.revision
  return next.source === current.source || next.source === 'primary'
}

/**
 * Merges candles into a list, newest first, at most `KEPT`.
 *
 * One candle per opening time; a candle seen live stays live when it is read again. Returns the same
 * array when nothing changed, so that nothing is drawn again.
 */
export function mergeCandles(list: Candle[], rows: CandleRow[], live: boolean): Candle[] {
  const byTime = new Map(list.map((candle) => [candle.at, candle]))
  let changed = false
  for (const row of rows) {
    const next = toCandle(row, live)
    const current = byTime.get(next.at)
    if (current && !supersedes(next, current)) continue
    if (current && current.revision === next.revision && current.source === next.source) continue
    byTime.set(next.at, { ...next, live: live || (current?.live ?? false) })
    changed = true
  }
  return changed ? [...byTime.values()].sort((a, b) => b.at - a.at).slice(0, KEPT) : list
}

export interface Hole {
  /** Opening instant of the newest candle missing. */
  at: number
  count: number
}

/** The candles that are missing between two neighbours of a list, newest first. */
export function holeBetween(newer: Candle, older: Candle, stepMs: number): Hole | null {
  const count = Math.round((newer.at - older.at) / stepMs) - 1
  return count > 0 ? { at: newer.at - stepMs, count } : null
}

/** Merges one object into a list by id: updated in place in a copy, or put first when new. */
export function upsertById<T extends { id: number }>(list: T[], item: T, cap = Infinity): T[] {
  const index = list.findIndex((other) => other.id === item.id)
  if (index < 0) return [item, ...list].slice(0, cap)
  return list.with(index, { ...list[index], ...item })
}

/** How far along an order is: what was learnt later never goes back (an answer may overtake an event). */
const PROGRESS: Record<OrderStatus, number> = {
  pending: 0, sending: 1, unknown: 2, open: 3, partially_filled: 4, filled: 5, cancelled: 5, rejected: 5, expired: 5,
}

/** Whether `next` may replace `known`: it is as far along, and no execution is taken back. */
function isAsRecent(next: Trade, known: Trade): boolean {
  if (PROGRESS[next.status] !== PROGRESS[known.status]) return PROGRESS[next.status] > PROGRESS[known.status]
  return signOf(sumDecimals([next.filled_quantity, `-${known.filled_quantity}`])) >= 0
}

/** Merges what is known of orders into a list, newest first: none goes back to an earlier state. */
export function mergeTrades<T extends Trade>(list: T[], incoming: T[], cap: number): T[] {
  const byId = new Map(list.map((trade) => [trade.id, trade]))
  for (const trade of incoming) {
    const known = byId.get(trade.id)
    if (!known || isAsRecent(trade, known)) byId.set(trade.id, trade)
  }
  return [...byId.values()].sort((a, b) => b.id - a.id).slice(0, cap)
}
