import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import type { Trade } from '@/api/orders'
import * as api from '@/api/webhooks'
import type { JournalFilter, NewSource, Source, SourceSettings, WebhookCall, WebhookSummary } from '@/api/webhooks'
import { mergeTrades } from '@/utils/rows'
import { verdictOf } from '@/utils/webhooks'
import { live } from '@/websocket/live'

export const MAX_CALLS = 500
const FIGURES_AFTER_MS = 800
const MAX_TRADES = 20

/** Sources by name, the journal newest first. Fetches and events go through the same `merge`. */
export const useWebhooks = defineStore('webhooks', () => {
  const sources = ref<Source[]>([])
  const calls = ref<WebhookCall[]>([])
  const summary = ref<WebhookSummary | null>(null)
  const filter = ref<JournalFilter>({})
  const next = ref<string | null>(null)
  /** Whole addresses seen since the page was loaded: the server shows a token once and keeps only its hash. */
  const addresses = ref<Record<number, string>>({})
  const stops: (() => void)[] = []
  let figuresTimer: ReturnType<typeof setTimeout> | null = null
  /** Orders told before their call, by its number: terminal 5 may be quicker than terminal 3's word of it. */
  const early = new Map<number, Trade>()
  let dayStart: () => string = () => new Date().toISOString()
  let asked = 0

  const byId = computed(() => new Map(sources.value.map((source) => [source.id, source])))

  function matches(call: WebhookCall): boolean {
    const { verdict, source, search } = filter.value
    if (verdict && verdictOf(call) !== verdict) return false
    if (source && call.source !== source) return false
    const text = `${call.symbol} ${call.symbol.replace('/', '')} ${call.call_id} ${call.source_name} ${call.reason}`.toLowerCase()
    return !search || text.includes(search.trim().toLowerCase())
  }

  /** A settled call never goes back to waiting: its arrival may be told after its verdict. */
  function merged(known: WebhookCall | undefined, call: WebhookCall): WebhookCall {
    if (!known) return call
    const newest = known.processed_at && !call.processed_at ? known : call
    return { ...newest, trades: mergeTrades(known.trades, call.trades, MAX_TRADES).toReversed() }
  }

  function withEarly(call: WebhookCall): WebhookCall {
    const trade = early.get(call.id)
    early.delete(call.id)
    return trade ? { ...call, trades: mergeTrades(call.trades, [trade], MAX_TRADES) } : call
  }

  function merge(incoming: WebhookCall[]): void {
    const rows = new Map(calls.value.map((call) => [call.id, call]))
    for (const call of incoming) rows.set(call.id, merged(rows.get(call.id), withEarly(call)))
    calls.value = [...rows.values()].filter(matches).sort((a, b) => b.id - a.id).slice(0, MAX_CALLS)
  }

  /**
   * What the server pushed. The figures, those of each source included, are asked again once it is quiet: an arrival
   * may be told after its verdict, and not at all when the journal is filtered, so they are not counted here.
   */
  function hear(incoming: WebhookCall[]): void {
    merge(incoming)
    figuresTimer ??= setTimeout(() => {
      figuresTimer = null
      void Promise.all([refreshSummary(), refreshSources()]).catch(() => undefined) // what is shown stays; the next call asks again
    }, FIGURES_AFTER_MS)
  }

  function addTrade(trade: Trade): void {
    // A position that a call left is sold later, by an order of the position's.
    const isItsExit = (one: WebhookCall) => trade.intent === 'exit' && trade.position !== null && one.left_position === trade.position
    const call = calls.value.find((one) => one.id === trade.webhook || isItsExit(one))
    if (call) hear([{ ...call, trades: [trade] }])
    else if (trade.webhook !== null && early.size < MAX_CALLS) early.set(trade.webhook, trade)
  }

  async function refreshSources(): Promise<void> {
    sources.value = await api.fetchSources()
  }

  async function refreshSummary(): Promise<void> {
    summary.value = await api.fetchSummary(dayStart())
  }

  async function refreshCalls(): Promise<void> {
    const turn = ++asked
    const page = await api.fetchCalls(filter.value)
    if (turn !== asked) return // another filter was chosen meanwhile
    const since = page.calls.at(-1)?.id ?? 0
    const heard = calls.value.filter((call) => call.id > since)
    calls.value = page.calls
    merge(heard)
    next.value = page.next
  }

  async function more(): Promise<void> {
    if (!next.value) return
    const page = await api.fetchCalls(filter.value, next.value)
    merge(page.calls)
    next.value = calls.value.length < MAX_CALLS ? page.next : null
  }

  async function choose(wanted: JournalFilter): Promise<void> {
    filter.value = wanted
    await refreshCalls()
  }

  function put(source: Source): Source {
    const others = sources.value.filter((one) => one.id !== source.id)
    sources.value = [...others, source].sort((a, b) => a.name.localeCompare(b.name, 'fr'))
    return source
  }

  function putNew(made: NewSource): NewSource {
    addresses.value[made.id] = made.url
    put(made)
    return made
  }

  async function remove(id: number): Promise<void> {
    await api.deleteSource(id)
    sources.value = sources.value.filter((source) => source.id !== id)
  }

  /** Follows the calls until `stop()`. `start` of the user's day depends on his zone. */
  function start(beginningOfDay: () => string): void {
    dayStart = beginningOfDay
    if (stops.length) return
    stops.push(
      live.on('webhooks/call', (call) => hear([call])),
      live.on('webhooks/calls', (batch) => hear(batch.calls)),
      live.on('orders/trade', addTrade),
    )
  }

  function stop(): void {
    stops.splice(0).forEach((end) => end())
    if (figuresTimer) clearTimeout(figuresTimer)
    figuresTimer = null
  }

  return {
    sources, calls, summary, filter, next, addresses, byId, merge, hear, addTrade, refreshSources, refreshCalls, refreshSummary, more, choose, start, stop, remove,
    create: async (body: SourceSettings) => putNew(await api.createSource(body)),
    change: async (id: number, body: Partial<SourceSettings>) => put(await api.changeSource(id, body)),
    rotate: async (id: number) => putNew(await api.rotateToken(id)),
    revoke: async (id: number) => put(await api.revokeSource(id)),
  }
})
