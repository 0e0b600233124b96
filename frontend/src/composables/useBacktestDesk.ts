import { computed, onMounted, onUnmounted, ref, watch } from 'vue'
import { useRoute, useRouter } from 'vue-router'
import type { Run, Sweep } from '@/api/backtests'
import { useBacktests } from '@/stores/backtests'
import { useBrokers } from '@/stores/brokers'
import { useHeartbeat } from '@/stores/heartbeat'
import { useStrategies } from '@/stores/strategies'
import { useSweeps } from '@/stores/sweeps'
import { useToasts } from '@/stores/toasts'
import { formatRatio } from '@/utils/format'
import { metricOf } from '@/utils/metrics'
import { live } from '@/websocket/live'
import { useAction, useLoad } from './useAsync'
import { useRunForm } from './useRunForm'
import { useSweepForm } from './useSweepForm'

/** What the Backtest page shows and does: which run or sweep is open, what is compared, what is launched. */
export function useBacktestDesk() {
  const [route, router] = [useRoute(), useRouter()]
  const [runs, sweeps, strategies, brokers] = [useBacktests(), useSweeps(), useStrategies(), useBrokers()]
  const [heartbeat, toasts] = [useHeartbeat(), useToasts()]
  const form = useRunForm()
  const sweepForm = useSweepForm(form)

  const mode = ref<'run' | 'sweep'>(route.query.sweep ? 'sweep' : 'run')
  const ticked = ref<number[]>([])
  const comparing = ref(false)
  const runId = computed(() => Number(route.query.run) || null)
  const sweepId = computed(() => Number(route.query.sweep) || null)
  const run = computed<Run | null>(() => (runId.value === null ? null : (runs.byId[runId.value] ?? null)))
  const sweep = computed<Sweep | null>(() => (sweepId.value === null ? null : (sweeps.byId[sweepId.value] ?? null)))
  const compared = computed(() => ticked.value.flatMap((id) => (runs.byId[id]?.status === 'done' ? [runs.byId[id]] : [])))

  /** The address names what is open, so that a reload or a link comes back to it. */
  function show(kind: 'run' | 'sweep', id: number | null): void {
    comparing.value = false
    void router.replace({ query: id === null ? {} : { [kind]: String(id) } })
  }

  const load = useLoad(async () => {
    // A simulated market has its own date: proposing ours would be refused. Without it the form still opens.
    const clock = heartbeat.marketTime === null ? heartbeat.refresh().catch(() => undefined) : null
    await Promise.all([strategies.refresh(), brokers.refresh(), clock])
    form.propose()
  })
  const history = useLoad(
    async () => {
      await runs.refresh()
      if (runId.value !== null && !runs.byId[runId.value]) await runs.open(runId.value)
      if (mode.value === 'run' && runId.value === null) show('run', runs.list[0]?.id ?? null)
    },
    () => runs.list.length === 0,
  )
  const sweepHistory = useLoad(() => sweeps.refresh(), () => sweeps.list.length === 0)

  async function launch(): Promise<void> {
    if (mode.value === 'run') {
      const made = await form.submit.run()
      if (made) show('run', made.id)
    } else {
      const made = await sweepForm.submit.run()
      if (made) show('sweep', made.id)
    }
  }
  const again = useAction(async (one: Run) => {
    if (one.strategy === null || one.broker === null) return
    const { strategy, broker, symbol, timeframe, start_date, end_date, initial_amount, fee_ratio, slippage_ratio, params } = one
    try {
      const made = await runs.launch({ strategy, broker, symbol, timeframe, start_date, end_date, initial_amount, fee_ratio, slippage_ratio, params })
      show('run', made.id)
    } catch (error) {
      toasts.failure('Relance refusée', error)
    }
  })

  /** Puts the settings of a run, or of one combination of a sweep, in the form. */
  function reuse(one: Run | Sweep, params: Run['params'] = one.params): void {
    mode.value = 'run'
    form.adopt(one, params)
    toasts.push('info', 'Réglages repris dans le formulaire', `${one.strategy_name}, ${one.symbol} en ${one.timeframe}`)
  }

  onMounted(() => {
    runs.start()
    sweeps.start()
    void Promise.all([load.run(), history.run(), sweepHistory.run()])
  })
  // What ends while one looks elsewhere is said; the candles it loaded are kept.
  const stopNews = live.on('backtests/run', (one) => {
    if (['done', 'cancelled', 'failed'].includes(one.status)) void form.offer.ask()
    if (one.status === 'done' && one.id !== runId.value) toasts.push('ok', 'Backtest terminé', `${one.strategy_name}, ${one.symbol} en ${one.timeframe} : ${formatRatio(metricOf(one, 'net_return'))}`)
  })
  const stopReconnect = live.onReconnect(() => void Promise.all([history.run(), sweepHistory.run()]))
  onUnmounted(() => {
    stopReconnect()
    stopNews()
    runs.stop()
    sweeps.stop()
  })

  // The market's clock may come after the form: then its dates are the better ones.
  watch(() => heartbeat.marketTime !== null, (known) => known && form.restart())
  watch(mode, (next) => {
    if (next === 'run' && runId.value === null) show('run', runs.list[0]?.id ?? null)
    else if (next === 'sweep' && sweepId.value === null) show('sweep', sweeps.list[0]?.id ?? null)
  })
  watch(() => compared.value.length < 2, (few) => few && (comparing.value = false))
  // The combinations of a sweep come by fetch: again each time a tenth more has been played, and at its end.
  watch(() => [sweep.value?.id, sweep.value?.status, Math.floor((sweep.value?.phase_progress ?? 0) * 10)] as const, ([id]) => {
    if (id !== undefined) sweeps.open(id).catch((error: unknown) => toasts.failure('Balayage illisible', error))
  })
  return { form, sweepForm, mode, ticked, comparing, runId, sweepId, run, sweep, compared, show, load, history, sweepHistory, launch, again, reuse }
}
