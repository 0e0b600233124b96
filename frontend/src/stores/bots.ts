import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import * as api from '@/api/bots'
import type { Bot, Decision, NewBot, ParityRun } from '@/api/bots'
import type { Position, Trade } from '@/api/orders'
import type { ParitySummary } from '@/utils/parity'
import { byClose } from '@/utils/decisions'
import { mergeTrades, upsertById } from '@/utils/rows'
import { live } from '@/websocket/live'

export const MAX_TRADES = 10
export const MAX_FEED = 50
const FEED_PER_BOT = 10

export interface FeedEntry extends Decision {
  bot: number
}

const BLANK = { trades: [], position: null, last_decision: null, realized_pnl: '0', unrealized_pnl: null, amount_warning: '' }

const positionKey = (position: Position): string => `${position.id}@${position.opened_at}`

/** The user's bots by id. Fetches and events go through the same `merge`. */
export const useBots = defineStore('bots', () => {
  const byId = ref<Record<number, Bot>>({})
  const feed = ref<FeedEntry[]>([])
  const loaded = ref(false)
  /** Each bot's latest replayed day. */
  const parity = ref<Record<number, ParitySummary>>({})
  const stops: (() => void)[] = []
  /** Positions known to be closed: a slower answer must not open them again. */
  const closed = new Set<string>()
  /** Events that came while a list was on its way: the list may be older than they are. */
  const meanwhile: (Partial<Bot> & Pick<Bot, 'id'>)[] = []
  let fetching = 0

  const list = computed(() => Object.values(byId.value).sort((a, b) => b.id - a.id))
  const inError = computed(() => list.value.filter((bot) => bot.state === 'paused_error').length)

  /** Takes over what is new about one bot; an unknown bot is only kept when it is whole. */
  function merge(changes: Partial<Bot> & Pick<Bot, 'id'>): void {
    const current = byId.value[changes.id]
    if (!current && changes.strategy_name === undefined) return
    const next = { ...(current ?? BLANK), ...changes } as Bot
    if (changes.trades) next.trades = mergeTrades(current?.trades ?? [], changes.trades, MAX_TRADES)
    if (next.position && closed.has(positionKey(next.position))) next.position = null
    byId.value[changes.id] = next
  }

  function follow(changes: Partial<Bot> & Pick<Bot, 'id'>): void {
    if (fetching) meanwhile.push(changes)
    merge(changes)
  }

  function addDecision(decision: FeedEntry): void {
    feed.value = upsertById(feed.value, decision).sort(byClose).slice(0, MAX_FEED)
    const bot = byId.value[decision.bot]
    if (!bot) return
    const last = bot.last_decision
    if (!last || byClose(decision, last) <= 0) bot.last_decision = decision
  }

  function addTrade(trade: Trade): void {
    const bot = trade.bot === null ? undefined : byId.value[trade.bot]
    if (!bot) return
    // As the server lists them: a protection that is placed, moved or ended without selling is told by the position.
    const isAside = trade.intent === 'protection' && trade.status !== 'unknown' && !/[1-9]/.test(trade.filled_quantity)
    bot.trades = isAside ? bot.trades.filter((one) => one.id !== trade.id) : mergeTrades(bot.trades, [trade], MAX_TRADES)
  }

  function setPosition(position: Position): void {
    if (position.status === 'closed') closed.add(positionKey(position))
    else if (closed.has(positionKey(position))) return
    const bot = position.bot === null ? undefined : byId.value[position.bot]
    if (!bot) return
    if (position.status !== 'closed') bot.position = position
    else if (bot.position?.id === position.id) bot.position = null
  }

  async function refresh(): Promise<void> {
    if (!fetching) meanwhile.length = 0 // left by a fetch that failed: older than what comes now
    fetching += 1
    let bots: Bot[]
    try {
      bots = await api.fetchBots()
    } finally {
      fetching -= 1
    }
    const present = new Set(bots.map((bot) => bot.id))
    for (const id of Object.keys(byId.value)) if (!present.has(Number(id))) delete byId.value[Number(id)]
    bots.forEach(merge)
    meanwhile.filter((changes) => present.has(changes.id)).forEach(merge)
    if (!fetching) meanwhile.length = 0
    const known = bots.flatMap((bot) => (bot.last_decision ? [{ ...bot.last_decision, bot: bot.id }] : []))
    known.forEach(addDecision)
    loaded.value = true
  }

  /** Fills the feed with what the bots at work decided before this page was opened. */
  async function refreshFeed(): Promise<void> {
    const atWork = list.value.filter((bot) => bot.state === 'running' || bot.state === 'paused_error')
    await Promise.all(
      atWork.map(async ({ id }) => (await api.fetchDecisions(id, FEED_PER_BOT)).forEach((one) => addDecision({ ...one, bot: id }))),
    )
  }

  /** A replay that is older than what is known, or of an earlier day, changes nothing. */
  function setParity(run: ParitySummary): void {
    const known = parity.value[run.bot]
    if (!known || run.day > known.day || (run.day === known.day && run.asked_at >= known.asked_at)) parity.value[run.bot] = run
  }

  /** Asks each bot's latest replayed day; without an answer its card says nothing of it. */
  async function refreshParity(): Promise<void> {
    await Promise.all(list.value.map(async ({ id }) => (await api.fetchParity(id, 1)).forEach(setParity)))
  }

  async function replay(id: number): Promise<ParityRun> {
    const run = await api.askParity(id)
    setParity(run)
    return run
  }

  async function create(bot: NewBot): Promise<Bot> {
    const made = await api.createBot(bot)
    merge(made)
    return made
  }

  /** Takes over what an action decided. Money and positions come as events, which may have overtaken the answer. */
  async function act(action: Promise<Bot>): Promise<Bot> {
    const bot = await action
    const { id, state, is_active, start_date, end_date, pause_reason, pause_details, paused_at, trades } = bot
    merge({ id, state, is_active, start_date, end_date, pause_reason, pause_details, paused_at, trades })
    return bot
  }

  /** Follows the bots until `stop()`: the sidebar's badge needs them on every page. */
  function start(): void {
    if (stops.length) return
    stops.push(
      live.on('bots/bot', follow),
      live.on('bots/decision', addDecision),
      live.on('bots/parity', setParity),
      live.on('orders/trade', addTrade),
      live.on('orders/position', setPosition),
    )
  }

  function stop(): void {
    stops.splice(0).forEach((end) => end())
    byId.value = {}
    feed.value = []
    parity.value = {}
    loaded.value = false
    closed.clear()
    meanwhile.length = 0
  }

  return {
    byId, list, feed, parity, loaded, inError, setParity, refreshParity, replay, merge, follow, addDecision, addTrade, setPosition, refresh, refreshFeed, start, stop,
    create,
    stopBot: (id: number, how: { confirm: boolean; sell: boolean }) => act(api.stopBot(id, how)),
    suspend: (id: number) => act(api.suspendBot(id)),
    resume: (id: number) => act(api.resumeBot(id)),
    async setCap(id: number, wanted: string | null) {
      const { amount, amount_warning } = await api.setBotCap(id, wanted)
      merge({ id, amount, amount_warning })
    },
    sell: (id: number) => act(api.sellBot(id)),
  }
})
