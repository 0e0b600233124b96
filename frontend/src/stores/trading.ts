import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import type { Alert, Amendment, Command, LivePosition, Market, Order, Portfolio, Selection } from '@/api/trading'
import { isLive, orderName, orderStory } from '@/utils/orders'
import { mergeTrades, upsertById } from '@/utils/rows'
import type { Tone } from '@/utils/words'
import type { Link } from '@/websocket/connection'
import { terminal } from '@/websocket/trading'
import { useToasts, type ToastTone } from './toasts'

export const HISTORY_PAGE = 200
const MAX_ORDERS = 3000
const MAX_ACTIVITY = 200
const BALANCE_SETTLES_MS = 400
/** How long a cancellation or a change is shown as under way when nothing says how it ended. */
export const COMMAND_MS = 30_000
const TOASTED = new Set(['filled', 'rejected', 'unknown', 'expired', 'cancelled'])

export interface Activity {
  key: number
  at: number
  text: string
  tone: Tone
}

/**
 * The chosen broker's account as the manual terminal shows it.
 *
 * Answers and events pass through one merge: an order never goes back to an earlier state, whichever
 * of the two comes first. What belongs to another broker than the chosen one is dropped.
 */
export const useTrading = defineStore('trading', () => {
  const brokerId = ref<number | null>(null)
  const symbol = ref('')
  const selection = shallowRef<Selection | null>(null)
  const market = shallowRef<Market | null>(null)
  const portfolio = shallowRef<Portfolio | null>(null)
  const orders = shallowRef<Order[]>([])
  const positions = shallowRef<LivePosition[]>([])
  const hasOlder = ref(false)
  const activity = shallowRef<Activity[]>([])
  /** Orders whose cancellation or change was asked and has not ended. */
  const busy = ref<Record<number, 'cancel' | 'amend'>>({})
  const link = shallowRef<Link>({ state: 'closed', retryAt: null })
  const stops: (() => void)[] = []
  const busyTimers = new Map<number, ReturnType<typeof setTimeout>>()
  /** Orders that events spoke of while a list was on its way. */
  const touched = new Set<number>()
  let balanceTimer: ReturnType<typeof setTimeout> | undefined
  let nextKey = 1

  const open = computed(() => orders.value.filter(isLive))
  const openPositions = computed(() => positions.value.filter((position) => position.status !== 'closed'))
  const mode = computed(() => selection.value?.broker.mode ?? null)

  function note(text: string, tone: Tone = '', at = Date.now()): void {
    activity.value = [{ key: nextKey++, at, text, tone }, ...activity.value].slice(0, MAX_ACTIVITY)
  }

  /** Shows what the server says beside an answer: terminal 5 is away, a wish waits for it. */
  function warn(warnings: string[] | undefined): void {
    for (const text of warnings ?? []) {
      note(text, 'warn')
      useToasts().push('warn', 'En attente du service d’échange', text)
    }
  }

  function merge(incoming: Order[]): void {
    const own = incoming.filter((order) => order.broker === brokerId.value)
    if (own.length) orders.value = mergeTrades(orders.value, own, MAX_ORDERS)
    own.filter((order) => !isLive(order)).forEach((order) => settle(order.id))
  }

  function tell(order: Order): void {
    const { text, tone } = orderStory(order, orders.value)
    note(text, tone)
    if (!TOASTED.has(order.status) || (order.source !== 'manual' && order.source !== 'external')) return
    const toast: ToastTone = tone === '' ? 'info' : tone
    useToasts().push(toast, orderName(order), text.startsWith(orderName(order)) ? capital(text.slice(orderName(order).length + 1)) : text)
  }

  /** Takes over what an event says of an order, and tells the user when its state has changed. */
  function follow(order: Order): void {
    if (order.broker !== brokerId.value) return
    touched.add(order.id)
    const before = orders.value.find((known) => known.id === order.id)
    merge([order])
    const after = orders.value.find((known) => known.id === order.id)
    const changed = after && (before?.status !== after.status || before.filled_quantity !== after.filled_quantity)
    if (!changed) return
    if (after.status !== 'pending' && after.status !== 'sending') tell(after)
    balanceMoved(order)
  }

  function followPosition(position: LivePosition): void {
    if (position.broker === brokerId.value) positions.value = upsertById(positions.value, position)
  }

  function followCommand(command: Command): void {
    if (command.status !== 'done' && command.status !== 'failed') return
    const order = orders.value.find((one) => one.id === command.trade)
    if (!order) return
    settle(command.trade)
    if (!command.error_message) return
    note(command.error_message, 'bad')
    useToasts().push('bad', command.kind === 'cancel' ? 'Annulation impossible' : 'Modification impossible', command.error_message)
  }

  function followAlert(alert: Alert): void {
    if (alert.broker !== brokerId.value) return
    note(alert.message, 'warn')
    useToasts().push('warn', alert.symbol || 'Alerte', alert.message)
  }

  /** The balance moved: its valuation is the server's, asked once the burst is over. */
  function balanceMoved(event: { broker: number }): void {
    if (event.broker !== brokerId.value || balanceTimer !== undefined) return
    balanceTimer = setTimeout(() => {
      balanceTimer = undefined
      refreshPortfolio().catch(() => undefined) // the figures on screen say when they were read
    }, BALANCE_SETTLES_MS)
  }

  function keepBusy(id: number, kind: 'cancel' | 'amend'): void {
    busy.value = { ...busy.value, [id]: kind }
    clearTimeout(busyTimers.get(id))
    busyTimers.set(id, setTimeout(() => overdue(id, kind), COMMAND_MS))
  }

  function settle(id: number): void {
    clearTimeout(busyTimers.get(id))
    busyTimers.delete(id)
    if (!(id in busy.value)) return
    busy.value = Object.fromEntries(Object.entries(busy.value).filter(([key]) => Number(key) !== id))
  }

  function overdue(id: number, kind: 'cancel' | 'amend'): void {
    settle(id)
    const asked = kind === 'cancel' ? 'L’annulation' : 'La modification'
    const text = `${asked} de l’ordre n° ${id} a été demandée il y a ${COMMAND_MS / 1000} s et n’a pas encore de réponse de l’exchange. Elle reste enregistrée ; l’état affiché vient d’être relu.`
    note(text, 'warn')
    useToasts().push('warn', 'Toujours en attente de l’exchange', text)
    refreshOrders().catch(() => undefined)
  }

  const chosen = (): number => brokerId.value ?? 0

  async function refreshPortfolio(): Promise<void> {
    const broker = chosen()
    const answer = await terminal.ask('portfolio', { broker })
    if (broker === brokerId.value) portfolio.value = answer
  }

  async function refreshPositions(): Promise<void> {
    const broker = chosen()
    const { results } = await terminal.ask('positions', { broker })
    if (broker === brokerId.value) positions.value = results
  }

  /** Reads the open orders and the newest of the history; an order that neither holds any more is dropped. */
  async function refreshOrders(): Promise<void> {
    const broker = chosen()
    touched.clear()
    const before = open.value.map((order) => order.id)
    const [live, past] = await Promise.all([terminal.ask('orders', { broker }), terminal.ask('history', { broker, limit: HISTORY_PAGE })])
    if (broker !== brokerId.value) return
    if (!orders.value.length) hasOlder.value = past.results.length === HISTORY_PAGE
    merge([...past.results, ...live.results])
    const known = new Set([...live.results, ...past.results].map((order) => order.id))
    const gone = new Set(before.filter((id) => !known.has(id) && !touched.has(id)))
    if (gone.size) orders.value = orders.value.filter((order) => !gone.has(order.id))
  }

  async function loadOlder(): Promise<void> {
    const broker = chosen()
    const before = orders.value.at(-1)?.id
    const { results } = await terminal.ask('history', { broker, before, limit: HISTORY_PAGE })
    if (broker !== brokerId.value) return
    hasOlder.value = results.length === HISTORY_PAGE
    merge(results)
  }

  async function cancel(order: Order): Promise<void> {
    keepBusy(order.id, 'cancel')
    try {
      const { trade, warnings } = await terminal.ask('cancel', { broker: order.broker, trade: order.id })
      merge([trade])
      warn(warnings)
    } catch (error) {
      settle(order.id)
      throw error
    }
  }

  async function cancelAll({ only, everybody }: { only?: string; everybody: boolean }): Promise<number> {
    const { trades } = await terminal.ask('cancel_all', { broker: chosen(), everybody, ...(only ? { symbol: only } : {}) })
    trades.filter(isLive).forEach((order) => keepBusy(order.id, 'cancel'))
    merge(trades)
    return trades.length
  }

  async function amend(change: Amendment): Promise<void> {
    keepBusy(change.trade, 'amend')
    try {
      warn((await terminal.ask('amend', change)).warnings)
    } catch (error) {
      settle(change.trade)
      throw error
    }
  }

  /** Leaves a position: what protects it is cancelled first, then what remains is sold. */
  async function close(position: LivePosition): Promise<void> {
    const { position: left, trade, warnings } = await terminal.ask('close', { broker: position.broker, position: position.id })
    followPosition({ ...position, ...left, current_price: position.current_price, unrealized_pnl: position.unrealized_pnl })
    if (trade) merge([trade])
    warn(warnings)
  }

  /** Turns to a broker: what is known of another one is forgotten. */
  async function select(id: number, wanted: { symbol: string; timeframe: string }): Promise<void> {
    if (id !== brokerId.value) forget()
    if (wanted.symbol !== symbol.value) market.value = null
    brokerId.value = id
    symbol.value = wanted.symbol
    const asked = { broker: id, ...(wanted.symbol ? { symbol: wanted.symbol, timeframe: wanted.timeframe } : {}) }
    const [answer, rules] = await Promise.all([
      terminal.ask('select', asked),
      wanted.symbol ? terminal.ask('market', { broker: id, symbol: wanted.symbol }) : null,
    ])
    if (id !== brokerId.value || wanted.symbol !== symbol.value) return
    selection.value = answer
    market.value = rules
  }

  function forget(): void {
    brokerId.value = null
    symbol.value = ''
    selection.value = market.value = portfolio.value = null
    orders.value = []
    positions.value = []
    activity.value = []
    hasOlder.value = false
    for (const id of [...busyTimers.keys()]) settle(id)
    clearTimeout(balanceTimer)
    balanceTimer = undefined
  }

  /** Opens the terminal's connection and follows its events until `stop()`. */
  function start(): void {
    if (stops.length) return
    stops.push(
      terminal.watch((next) => (link.value = next)),
      terminal.on('orders/trade', follow),
      terminal.on('orders/position', followPosition),
      terminal.on('orders/balance', balanceMoved),
      terminal.on('orders/alert', followAlert),
      terminal.on('orders/command', followCommand),
    )
    terminal.connect()
  }

  function stop(): void {
    stops.splice(0).forEach((end) => end())
    terminal.disconnect()
    forget()
  }

  return {
    brokerId, symbol, selection, market, portfolio, orders, open, positions, openPositions, hasOlder, activity, busy, link, mode,
    note, warn, merge, follow, followPosition, followCommand, refreshPortfolio, refreshPositions, refreshOrders, loadOlder,
    cancel, cancelAll, amend, close, select, start, stop,
  }
})

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
