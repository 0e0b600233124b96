import { computed, nextTick, ref, watch } from 'vue'
import { ApiError } from '@/api/errors'
import type { NewRun, Run, Sweep } from '@/api/backtests'
import type { Timeframe } from '@/api/core'
import { knownParams, paramsAreRight, type ParamValue } from '@/components/strategies/params'
import { useBacktests } from '@/stores/backtests'
import { useBots } from '@/stores/bots'
import { useBrokers } from '@/stores/brokers'
import { useHeartbeat } from '@/stores/heartbeat'
import { useStrategies } from '@/stores/strategies'
import { readAmount, toField } from '@/utils/amounts'
import { fieldToRatio, ratioToField } from '@/utils/percent'
import { timeframeMs } from '@/utils/timeframe'
import { useAction } from './useAsync'
import { useOffer } from './useOffer'
import { useTime } from './useTime'

/** The example of every account: a better start than the first of the alphabet. */
const EXAMPLE = 'Croisement EMA 10/20'
const DAY_MS = 86_400_000
/** Fewer candles than the strategy's window decide nothing. */
export const MIN_BARS = 2

export const PRESETS = [
  { label: '1 mois', days: 30 },
  { label: '3 mois', days: 91 },
  { label: '6 mois', days: 182 },
  { label: '1 an', days: 365 },
] as const

/** The form that asks for a backtest: what is typed, what is wrong with it, what will be sent. */
export function useRunForm() {
  const strategies = useStrategies()
  const brokers = useBrokers()
  const bots = useBots()
  const runs = useBacktests()
  const heartbeat = useHeartbeat()
  const time = useTime()

  const strategy = ref<number>()
  const broker = ref<number>()
  const symbol = ref('')
  const timeframe = ref<Timeframe>('15m')
  const start = ref('')
  const end = ref('')
  const amount = ref('')
  const fee = ref('')
  const slippage = ref('')

  const offer = useOffer({ broker, symbol, timeframe, amount, fee, slippage })

  const chosenStrategy = computed(() => strategies.list.find((one) => one.id === strategy.value) ?? null)
  const chosenBroker = computed(() => brokers.list.find((one) => one.id === broker.value) ?? null)
  const quote = computed(() => symbol.value.split('/')[1] ?? '')
  const specs = computed(() => chosenStrategy.value?.params ?? [])
  /** What differs from the strategy's defaults. */
  const params = ref<Record<string, ParamValue>>({})
  const marketNow = computed(() => (chosenBroker.value?.exchange === 'simex' ? (heartbeat.marketTime ?? Date.now()) : Date.now()))
  const bars = computed(() => {
    const [from, to] = [time.parse(start.value), time.parse(end.value)]
    return from && to ? Math.max(0, Math.floor((Date.parse(to) - Date.parse(from)) / timeframeMs(timeframe.value))) : null
  })

  const local = computed(() => {
    const [from, to] = [time.parse(start.value), time.parse(end.value)]
    const typed = readAmount(amount.value)
    return {
      start: start.value && !from ? 'Attendu : AA.MM.JJ ou AA.MM.JJ_HH:MM' : null,
      end: end.value && !to ? 'Attendu : AA.MM.JJ ou AA.MM.JJ_HH:MM' : from && to && to <= from ? 'La fin doit suivre le début' : bars.value !== null && bars.value < MIN_BARS ? `Moins de ${MIN_BARS} bougies ${timeframe.value}` : null,
      amount: typed.error ?? (typed.value !== null && !/[1-9]/.test(typed.value) ? 'Un montant positif est attendu' : null),
      fee: percentError(fee.value),
      slippage: percentError(slippage.value),
    }
  })

  const draft = computed<NewRun | null>(() => {
    const [from, to] = [time.parse(start.value), time.parse(end.value)]
    const { value } = readAmount(amount.value)
    const wrong = Object.values(local.value).some(Boolean)
    if (wrong || !from || !to || value === null || strategy.value === undefined || broker.value === undefined || !symbol.value || !paramsAreRight(specs.value, params.value)) return null
    // What was proposed and left alone stays the server's to read when the run begins.
    const [feeRatio, slippageRatio] = [offer.isOffered('fee') ? null : fieldToRatio(fee.value), fieldToRatio(slippage.value)]
    return {
      strategy: strategy.value, broker: broker.value, symbol: symbol.value, timeframe: timeframe.value,
      start_date: from, end_date: to, initial_amount: value, params: knownParams(specs.value, params.value),
      ...(feeRatio === null ? {} : { fee_ratio: feeRatio }),
      ...(slippageRatio === null ? {} : { slippage_ratio: slippageRatio }),
    }
  })

  /** The strategy one worked with last, else the last backtested, else one at work, else the example. */
  function favourite(): number | undefined {
    const has = (id: number | null): id is number => strategies.list.some((one) => one.id === id)
    const used = [strategies.touched, ...runs.list.map((run) => run.strategy), ...bots.list.map((bot) => bot.strategy)].find(has)
    return used ?? (strategies.list.find((one) => one.name === EXAMPLE) ?? strategies.list[0])?.id
  }

  /** The dates that nobody typed. */
  let proposed = ''

  /** The last `days` of the market; dates are days, except where a day is too coarse. */
  function period(days: number): void {
    const now = Math.floor(marketNow.value / DAY_MS) * DAY_MS
    start.value = time.day(now - days * DAY_MS)
    end.value = time.day(now)
    proposed = start.value + end.value
  }
  const preset = computed(() => {
    const now = Math.floor(marketNow.value / DAY_MS) * DAY_MS
    return PRESETS.find(({ days }) => end.value === time.day(now) && start.value === time.day(now - days * DAY_MS))?.days ?? null
  })

  function propose(): void {
    if (!chosenStrategy.value) strategy.value = favourite()
    if (!chosenBroker.value) broker.value = brokers.byDefault?.id
    if (!start.value || !end.value) period(PRESETS[1].days)
  }

  /** Takes over what a run or a sweep was asked with, with these settings of the strategy. */
  function adopt(run: Run | Sweep, chosen: Run['params']): void {
    if (strategies.list.some((one) => one.id === run.strategy)) strategy.value = run.strategy ?? undefined
    if (brokers.list.some((one) => one.id === run.broker)) broker.value = run.broker ?? undefined
    symbol.value = run.symbol
    start.value = tidy(time.stamp(run.start_date))
    end.value = tidy(time.stamp(run.end_date))
    amount.value = toField(run.initial_amount)
    fee.value = run.fee_ratio === null ? offer.proposal('fee') : ratioToField(run.fee_ratio)
    slippage.value = ratioToField(run.slippage_ratio)
    // After the watcher of the strategy, which proposes its own.
    void nextTick(() => {
      timeframe.value = run.timeframe as Timeframe
      params.value = chosen as Record<string, ParamValue>
    })
  }

  watch(strategy, () => {
    strategies.touch(strategy.value)
    if (chosenStrategy.value) timeframe.value = chosenStrategy.value.timeframe
    params.value = {}
  })
  /** Proposes the dates again, by a clock that is known now or in another zone; typed ones stay, and none come too early. */
  function restart(): void {
    if (!proposed || start.value + end.value !== proposed) return
    start.value = end.value = ''
    propose()
  }
  watch(time.zone, restart)

  const submit = useAction(async () => (draft.value ? runs.launch(draft.value) : undefined))
  const refusal = computed(() => (submit.error.value instanceof ApiError ? submit.error.value : null))

  return {
    strategy, broker, symbol, timeframe, start, end, amount, fee, slippage, specs, params, chosenStrategy, chosenBroker, quote, bars, local,
    draft, offer, propose, restart, period, preset, adopt, submit, refusal, marketNow,
  }
}

const tidy = (stamp: string): string => stamp.replace(/_00:00$/, '')

function percentError(text: string): string | null {
  if (!text.trim()) return null
  const ratio = fieldToRatio(text)
  if (ratio === null) return 'Attendu : un pourcentage'
  return Number(ratio) >= 0.5 ? 'Moins de 50 %' : null
}

export type RunForm = ReturnType<typeof useRunForm>
