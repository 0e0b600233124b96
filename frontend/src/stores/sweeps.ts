import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import * as api from '@/api/backtests'
import type { NewSweep, BacktestProgress, Sweep, SweepRun } from '@/api/backtests'
import { isAsFar } from '@/utils/runs'
import { live } from '@/websocket/live'
import type { Sights } from './backtests'

/** The user's parameter sweeps by id, and the combinations of the one that is looked at. */
export const useSweeps = defineStore('sweeps', () => {
  const byId = ref<Record<number, Sweep>>({})
  const sights = ref<Record<number, Sights>>({})
  const runs = shallowRef<readonly SweepRun[]>([])
  const runsOf = ref<number | null>(null)
  const gone = new Set<number>()
  const stops: (() => void)[] = []
  const list = computed(() => Object.values(byId.value).sort((a, b) => b.id - a.id))

  function sight(id: number, status: string, share: number): void {
    const known = sights.value[id]
    const now = { at: Date.now(), share }
    sights.value[id] = known?.status === status ? { ...known, last: now } : { status, first: now, last: now }
  }

  function merge(sweep: Sweep): void {
    const known = byId.value[sweep.id]
    if (gone.has(sweep.id) || (known && !isAsFar(sweep, known))) return
    byId.value[sweep.id] = known ? { ...known, ...sweep } : sweep
    sight(sweep.id, sweep.status, sweep.phase_progress)
  }

  function follow({ id, kind, phase: status, progress: phase_progress }: BacktestProgress): void {
    const known = kind === 'sweep' ? byId.value[id] : undefined
    if (!known || !isAsFar({ status, phase_progress }, known)) return
    Object.assign(known, { status, phase_progress })
    sight(id, status, phase_progress)
  }

  async function refresh(): Promise<void> {
    const all = await api.fetchSweeps()
    const present = new Set(all.map((sweep) => sweep.id))
    for (const id of Object.keys(byId.value).map(Number)) if (!present.has(id)) delete byId.value[id]
    all.forEach(merge)
  }

  /** One sweep with what it has played so far. */
  async function open(id: number): Promise<void> {
    const { runs: played, ...sweep } = await api.fetchSweep(id)
    merge(sweep)
    runs.value = played
    runsOf.value = id
  }

  async function launch(body: NewSweep): Promise<Sweep> {
    const sweep = await api.createSweep(body)
    merge(sweep)
    return byId.value[sweep.id] ?? sweep
  }

  async function cancel(id: number): Promise<void> {
    merge(await api.cancelSweep(id))
  }

  async function remove(id: number): Promise<void> {
    await api.deleteSweep(id)
    gone.add(id)
    delete byId.value[id]
  }

  function start(): void {
    if (!stops.length) stops.push(live.on('backtests/sweep', merge), live.on('backtests/progress', follow))
  }

  function stop(): void {
    stops.splice(0).forEach((end) => end())
    byId.value = {}
    sights.value = {}
    runs.value = []
    runsOf.value = null
    gone.clear()
  }

  return { byId, sights, list, runs, runsOf, merge, follow, refresh, open, launch, cancel, remove, start, stop }
})
