import { computed, nextTick, ref, shallowRef, watch } from 'vue'
import { fetchBalance, type Balance } from '@/api/brokers'
import type { NewBot } from '@/api/bots'
import type { Timeframe } from '@/api/core'
import { knownParams, paramsAreRight, type ParamValue } from '@/components/strategies/params'
import { useBots } from '@/stores/bots'
import { useBrokers } from '@/stores/brokers'
import { useHeartbeat } from '@/stores/heartbeat'
import { useStrategies } from '@/stores/strategies'
import { parseDecimal } from '@/utils/format'
import { useAction } from './useAsync'
import { useTime } from './useTime'

/** The example of every account: a better start than the first of the alphabet. */
const EXAMPLE = 'Croisement EMA 10/20'
const DEFAULT_DAYS = 90
const DAY_MS = 86_400_000
const MINUTE_MS = 60_000

/** What another page proposes to put to work. */
export interface BotPreset {
  strategy: number
  broker: number
  symbol: string
  timeframe: string
  params: Record<string, ParamValue>
}

/** Reads a proposal from an address (`?strategy=1&broker=2&symbol=…`); null when there is none. */
export function readPreset(query: Record<string, unknown>): BotPreset | null {
  const { strategy, broker, symbol, timeframe, params } = query
  if (!Number(strategy) || !Number(broker) || typeof symbol !== 'string' || typeof timeframe !== 'string') return null
  try {
    return { strategy: Number(strategy), broker: Number(broker), symbol, timeframe, params: JSON.parse(typeof params === 'string' ? params : '{}') as BotPreset['params'] }
  } catch {
    return null // an address that somebody cut: the form proposes its own
  }
}

/** The state of the form that activates a strategy, and what it will send. */
export function useActivation() {
  const strategies = useStrategies()
  const brokers = useBrokers()
  const bots = useBots()
  const heartbeat = useHeartbeat()
  const time = useTime()

  const strategy = ref<number>()
  const broker = ref<number>()
  const symbol = ref('')
  const timeframe = ref<Timeframe>('15m')
  const start = ref('')
  const end = ref('')
  const amount = ref('')
  const active = ref(true)
  /** Settings of the strategy that differ from its defaults. */
  const params = shallowRef<Record<string, ParamValue>>({})
  const balance = ref<Balance | null>(null)

  const chosenBroker = computed(() => brokers.list.find((one) => one.id === broker.value) ?? null)
  const chosenStrategy = computed(() => strategies.list.find((one) => one.id === strategy.value) ?? null)
  const specs = computed(() => chosenStrategy.value?.params ?? [])
  const quote = computed(() => symbol.value.split('/')[1] ?? '')
  const free = computed(() => {
    if (!balance.value || !quote.value) return null
    return balance.value.currencies.find((one) => one.currency === quote.value)?.free ?? '0'
  })

  const startError = computed(() => (start.value && !time.parse(start.value) ? 'Attendu : AA.MM.JJ_HH:MM' : null))
  const endError = computed(() => {
    if (!end.value) return null
    const [from, to] = [time.parse(start.value), time.parse(end.value)]
    if (!to) return 'Attendu : AA.MM.JJ_HH:MM'
    return from && to <= from ? 'La fin doit suivre le début' : null
  })
  const amountError = computed(() => (amount.value.trim() && parseDecimal(amount.value) === null ? 'Attendu : un montant, par exemple 1 000,50' : null))

  const draft = computed<NewBot | null>(() => {
    const [from, to] = [time.parse(start.value), time.parse(end.value)]
    if (strategy.value === undefined || broker.value === undefined || !symbol.value || !from || !to) return null
    if (endError.value || amountError.value || !paramsAreRight(specs.value, params.value)) return null
    const cap = parseDecimal(amount.value)
    return {
      strategy: strategy.value,
      broker: broker.value,
      symbol: symbol.value,
      timeframe: timeframe.value,
      start_date: from,
      end_date: to,
      is_active: active.value,
      ...(cap === null ? {} : { amount: cap }),
      params: knownParams(specs.value, params.value),
    }
  })

  /** The strategy last put to work without an error, else the example, else the first. */
  function favourite(): number | undefined {
    const has = (id: number): boolean => strategies.list.some((one) => one.id === id)
    const used = bots.list.find((bot) => bot.state !== 'paused_error' && has(bot.strategy))
    return used?.strategy ?? (strategies.list.find((one) => one.name === EXAMPLE) ?? strategies.list[0])?.id
  }

  /** Proposes the first choices. Bots live by the market's clock, which in a replay is not ours. */
  function propose(): void {
    strategy.value ??= favourite()
    broker.value ??= brokers.byDefault?.id
    const now = Math.floor((heartbeat.marketTime ?? Date.now()) / MINUTE_MS) * MINUTE_MS
    start.value ||= time.stamp(now)
    end.value ||= time.stamp(now + DEFAULT_DAYS * DAY_MS)
  }

  /** Takes over what another page proposes, as far as it is still there. */
  async function adopt(preset: BotPreset): Promise<void> {
    if (!strategies.list.some((one) => one.id === preset.strategy) || !brokers.list.some((one) => one.id === preset.broker)) return
    strategy.value = preset.strategy
    broker.value = preset.broker
    symbol.value = preset.symbol
    await nextTick() // the strategy's own proposals come first
    timeframe.value = preset.timeframe as Timeframe
    params.value = preset.params
  }

  // The balance only informs: without it the form says nothing of it.
  watch(broker, (id) => {
    balance.value = null
    if (id === undefined) return
    fetchBalance(id)
      .then((answer) => {
        if (broker.value === id) balance.value = answer
      })
      .catch(() => undefined)
  })
  watch(strategy, () => {
    params.value = {}
    if (chosenStrategy.value) timeframe.value = chosenStrategy.value.timeframe
  })
  watch(time.zone, () => {
    start.value = end.value = ''
    propose()
  })

  const submit = useAction(async (confirmDuplicate: boolean = false) => {
    if (!draft.value) return undefined
    return bots.create(confirmDuplicate ? { ...draft.value, confirm_duplicate: true } : draft.value)
  })

  return {
    strategy, broker, symbol, timeframe, start, end, amount, active, params, specs, chosenBroker, chosenStrategy, quote, free,
    startError, endError, amountError, draft, propose, adopt, submit,
  }
}
