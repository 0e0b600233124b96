import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import * as api from '@/api/stats'
import type { Mode, StatsDay, StatsEquity, StatsQuery, StatsStrategy, StatsSummary, StatsSymbol, StatsTrade, StatsWebhook } from '@/api/stats'
import { periodStart, type Period } from '@/utils/periods'
import { live } from '@/websocket/live'

export type Source = 'manual' | 'strategy' | 'webhook' | 'external'
export const SOURCES: readonly Source[] = ['manual', 'strategy', 'webhook', 'external']

/** Orders come in bursts: the sums are read again once they have settled. */
const SETTLE_MS = 1200

export interface Filters {
  /** A broker's id, or every broker of one mode; null until the server has said which there are. */
  broker: number | null
  mode: Mode | null
  period: Period | 'custom'
  since: string | null
  until: string | null
  sources: Source[]
  quote: string | null
}

export interface Panels {
  summary: StatsSummary
  equity: StatsEquity
  daily: StatsDay[]
  strategies: StatsStrategy[]
  webhooks: StatsWebhook[]
  symbols: StatsSymbol[]
}

/** What the statistics page shows. An answer that a newer question has overtaken is dropped. */
export const useStats = defineStore('stats', () => {
  const filters = ref<Filters>({ broker: null, mode: null, period: '30d', since: null, until: null, sources: [...SOURCES], quote: null })
  const panels = shallowRef<Panels | null>(null)
  const trades = shallowRef<StatsTrade[]>([])
  const cursor = ref<string | null>(null)
  const today = ref<string | null>(null)
  /** The question whose answer is on screen. */
  const shown = shallowRef<StatsQuery>({})
  let asked = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  const query = computed<StatsQuery>(() => {
    const { broker, mode, sources, quote, period } = filters.value
    const since = period === 'custom' ? filters.value.since : today.value && periodStart(period, today.value)
    return {
      broker: broker ?? undefined,
      mode: broker === null ? (mode ?? undefined) : undefined,
      since: since ?? undefined,
      until: (period === 'custom' ? filters.value.until : null) ?? undefined,
      source: sources.length === SOURCES.length ? undefined : sources.join(','),
      quote: quote ?? undefined,
    }
  })

  async function refresh(): Promise<void> {
    const number = (asked += 1)
    // The market's day is not known at first, and a period counts back from it.
    if (!panels.value) today.value = (await api.fetchSummary(query.value)).today
    const question = query.value
    const summary = await api.fetchSummary(question)
    const wanted = { ...question, quote: summary.quote } // so that the server does not look for it again
    const [equity, daily, strategies, webhooks, symbols, page] = await Promise.all([
      api.fetchEquity(wanted), api.fetchDaily(wanted), api.fetchByStrategy(wanted),
      api.fetchByWebhook(wanted), api.fetchBySymbol(wanted), api.fetchTrades(wanted, null),
    ])
    if (number !== asked) return
    today.value = summary.today
    panels.value = { summary, equity, daily, strategies, webhooks, symbols }
    shown.value = wanted
    trades.value = page.rows
    cursor.value = page.cursor
  }

  async function moreTrades(): Promise<void> {
    if (!cursor.value) return
    const number = asked
    const page = await api.fetchTrades(shown.value, cursor.value)
    if (number !== asked) return
    trades.value = [...trades.value, ...page.rows]
    cursor.value = page.cursor
  }

  /** Follows the orders while the page is open; `onChange` reads again. Returns what ends it. */
  function follow(onChange: () => unknown): () => void {
    const later = (): void => {
      clearTimeout(timer)
      timer = setTimeout(onChange, SETTLE_MS)
    }
    const stops = [live.on('orders/trade', later), live.on('orders/position', later), live.onReconnect(later)]
    return () => {
      clearTimeout(timer)
      stops.forEach((stop) => stop())
    }
  }

  return { filters, panels, trades, cursor, query, shown, refresh, moreTrades, follow }
})
