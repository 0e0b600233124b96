import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import * as api from '@/api/backtests'
import type { NewRun, BacktestProgress, Run } from '@/api/backtests'
import type { Seen } from '@/utils/eta'
import { isAsFar, isLive } from '@/utils/runs'
import { live } from '@/websocket/live'

/** The first and the last sight of the present phase of a run. */
export interface Sights {
  status: string
  first: Seen
  last: Seen
}

/** The user's backtests by id. Fetches and events go through the same `merge`. */
export const useBacktests = defineStore('backtests', () => {
  const byId = ref<Record<number, Run>>({})
  const sights = ref<Record<number, Sights>>({})
  /** What the server says of the present phase, in words. */
  const details = ref<Record<number, string>>({})
  const loaded = ref(false)
  /** The address of the next older page; null when all is here. */
  const older = ref<string | null>(null)
  /** Deleted here: a slower answer or event must not bring them back. */
  const gone = new Set<number>()
  const stops: (() => void)[] = []

  const list = computed(() => Object.values(byId.value).sort((a, b) => b.id - a.id))
  const atWork = computed(() => list.value.filter(isLive))

  function sight(id: number, { status, phase_progress: share }: Pick<Run, 'status' | 'phase_progress'>): void {
    const known = sights.value[id]
    const now = { at: Date.now(), share }
    sights.value[id] = known?.status === status ? { ...known, last: now } : { status, first: now, last: now }
  }

  function merge(run: Run): void {
    const known = byId.value[run.id]
    if (gone.has(run.id) || (known && !isAsFar(run, known))) return
    byId.value[run.id] = known ? { ...known, ...run } : run
    if (isLive(run)) sight(run.id, run)
  }

  function follow({ id, kind, phase: status, progress: phase_progress, detail }: BacktestProgress): void {
    const known = kind === 'run' ? byId.value[id] : undefined
    if (!known || !isAsFar({ status, phase_progress }, known)) return
    Object.assign(known, { status, phase_progress })
    details.value[id] = detail
    sight(id, known)
  }

  async function refresh(): Promise<void> {
    const page = await api.fetchRuns()
    page.results.forEach(merge)
    // What the newest page should hold and does not has been deleted elsewhere.
    const last = page.results.at(-1)?.id ?? 0
    const present = new Set(page.results.map((run) => run.id))
    for (const id of Object.keys(byId.value).map(Number)) if ((id > last || !page.next) && !present.has(id)) delete byId.value[id]
    if (!loaded.value || !page.next) older.value = page.next ?? null
    loaded.value = true
  }

  async function loadOlder(): Promise<void> {
    if (!older.value) return
    const page = await api.fetchRuns(older.value)
    page.results.forEach(merge)
    older.value = page.next ?? null
  }

  /** One run that may be too old for the list. */
  async function open(id: number): Promise<void> {
    merge(await api.fetchRun(id))
  }

  async function launch(body: NewRun): Promise<Run> {
    const run = await api.createRun(body)
    merge(run)
    return byId.value[run.id] ?? run
  }

  async function cancel(id: number): Promise<void> {
    merge(await api.cancelRun(id))
  }

  async function remove(id: number): Promise<void> {
    await api.deleteRun(id)
    gone.add(id)
    delete byId.value[id]
  }

  /** Follows the runs until `stop()`. */
  function start(): void {
    if (stops.length) return
    stops.push(live.on('backtests/run', merge), live.on('backtests/progress', follow))
  }

  function stop(): void {
    stops.splice(0).forEach((end) => end())
    byId.value = {}
    sights.value = {}
    details.value = {}
    loaded.value = false
    older.value = null
    gone.clear()
  }

  return { byId, sights, details, list, atWork, loaded, older, merge, follow, refresh, loadOlder, open, launch, cancel, remove, start, stop }
})
