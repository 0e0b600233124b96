import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import {
  fetchHeartbeat,
  TIMEFRAMES,
  type CandleRow,
  type HeartbeatPage,
  type HeartbeatRun,
  type HeartbeatStatus,
  type Incident,
  type ServiceHealth,
  type Timeframe,
} from '@/api/core'
import { mergeCandles, upsertById, type Candle } from '@/utils/rows'
import { formatDuration } from '@/utils/time'
import { live } from '@/websocket/live'
import { useStatus } from './status'

export interface Pulse {
  active: boolean
  label: string
  dot: 'ok' | 'warn' | 'bad' | 'idle'
  tone: '' | 'warn' | 'down' | 't3'
  /** Age of the last message of the market, in milliseconds. */
  ageMs: number | null
}

export type Source = 'primary' | 'secondary'

/** One of the two heartbeats, from what it last said and from what it tells of its run. */
export interface SourceState {
  service: ServiceHealth | null
  status: HeartbeatStatus | null
  /** Lives and hears the market: its signals arrive. */
  alive: boolean
}

const MAX_INCIDENTS = 100
const SERVICE_OF = { primary: 'heartbeat', secondary: 'heartbeat_secondary' } as const

const emptyLists = (): Record<Timeframe, Candle[]> =>
  Object.fromEntries(TIMEFRAMES.map((timeframe) => [timeframe, []])) as unknown as Record<Timeframe, Candle[]>

/** The market's metronome: state of both sources, candles of the eight timeframes, incidents. */
export const useHeartbeat = defineStore('heartbeat', () => {
  const statuses = shallowRef<Record<Source, HeartbeatStatus | null>>({ primary: null, secondary: null })
  const candles = shallowRef(emptyLists())
  const forming = shallowRef<Partial<Record<Timeframe, CandleRow>>>({})
  const incidents = shallowRef<Incident[]>([])
  const runs = shallowRef<HeartbeatRun[]>([])
  const statusAt = ref(0)
  const stops: (() => void)[] = []
  let mending = false

  const primary = computed(() => stateOf('primary'))
  const secondary = computed(() => stateOf('secondary'))
  /** Whose signals make the bots decide: the primary's, the secondary's after a failover, nobody's. */
  const carrier = computed<Source | null>(() => (primary.value.alive ? 'primary' : secondary.value.alive ? 'secondary' : null))
  const status = computed(() => statuses.value[carrier.value ?? 'primary'] ?? statuses.value.primary ?? statuses.value.secondary)

  /** The market whose closes are the signals; the others are kept as candles only. */
  const reference = computed(() => status.value?.symbols_monitored[0] ?? null)
  const marketTime = computed(() => (status.value?.market_time ? Date.parse(status.value.market_time) : null))

  const pulse = computed<Pulse>(() => {
    const health = useStatus()
    const service = health.health?.services.heartbeat
    if (!service || health.link.state === 'lost') return { active: false, label: 'Heartbeat inconnu', dot: 'idle', tone: 't3', ageMs: null }
    const seen = status.value?.last_message_at ?? service.last_seen
    const ageMs = seen ? Math.max(0, health.receivedAt - Date.parse(seen)) : null
    if (carrier.value === 'primary') return { active: true, label: 'Heartbeat actif', dot: 'ok', tone: '', ageMs }
    if (carrier.value === 'secondary') return { active: true, label: 'Heartbeat secondaire', dot: 'warn', tone: 'warn', ageMs }
    if (service.state === 'starting') return { active: false, label: 'Heartbeat démarre', dot: 'warn', tone: 'warn', ageMs }
    const since = ageMs === null ? '' : ` depuis ${formatDuration(Math.round(ageMs / 1000) * 1000)}`
    const label = secondary.value.service ? `Heartbeats inactifs${since} : trading arrêté` : `Heartbeat inactif${since}`
    return { active: false, label, dot: 'bad', tone: 'down', ageMs }
  })

  function stateOf(source: Source): SourceState {
    const service = useStatus().health?.services[SERVICE_OF[source]] ?? null
    const known = statuses.value[source]
    const hears = known?.is_connected !== false && service?.details.is_connected !== false
    return { service: service?.state === 'absent' ? null : service, status: known, alive: service?.state === 'up' && hears }
  }

  function isReference(row: CandleRow): boolean {
    return reference.value === null || row.symbol === reference.value
  }

  function setStatus(next: HeartbeatStatus): void {
    statuses.value = { ...statuses.value, [next.source as Source]: next }
    statusAt.value = Date.now()
  }

  function addCandle(row: CandleRow): void {
    const list = candles.value[row.timeframe]
    if (!list || !isReference(row)) return
    if (list.length && Date.parse(row.open_time) > Date.parse(list[0].close_time)) void mend()
    const merged = mergeCandles(list, [row], true)
    if (merged !== list) candles.value = { ...candles.value, [row.timeframe]: merged }
  }

  /** A candle closed between the page's reading and what it then heard: read again, once at a time. */
  async function mend(): Promise<void> {
    if (mending) return
    mending = true
    await refresh().catch(() => undefined) // the hole stays on screen, and the next candle says nothing of it
    mending = false
  }

  /** Both sources tell their open candles: those of the one that carries are shown. */
  function addForming(rows: Partial<Record<Timeframe, CandleRow>>): void {
    const [first] = Object.values(rows)
    if (first && carrier.value !== null && first.source !== carrier.value) return
    forming.value = { ...forming.value, ...rows }
  }

  function addIncident(incident: Incident): void {
    incidents.value = upsertById(incidents.value, incident, MAX_INCIDENTS)
  }

  function adopt(page: HeartbeatPage): void {
    if (page.status) setStatus(page.status)
    if (page.secondary) setStatus(page.secondary)
    const next = { ...candles.value }
    for (const timeframe of TIMEFRAMES) {
      const rows = (page.candles[timeframe] ?? []).filter(isReference)
      next[timeframe] = mergeCandles(next[timeframe], rows, false)
    }
    candles.value = next
    forming.value = page.forming ?? {}
    incidents.value = page.incidents
    runs.value = page.runs
  }

  async function refresh(): Promise<void> {
    adopt(await fetchHeartbeat())
  }

  /** Follows the heartbeat's state and signals until `stop()`; the status bar needs them on every page. */
  function start(): void {
    if (stops.length) return
    stops.push(
      live.on('heartbeat/status', setStatus),
      live.on('heartbeat/candle', addCandle),
      live.on('heartbeat/incident', addIncident),
      live.on('heartbeat/forming', addForming),
    )
  }

  function stop(): void {
    stops.splice(0).forEach((end) => end())
    statuses.value = { primary: null, secondary: null }
    candles.value = emptyLists()
    forming.value = {}
    incidents.value = []
    runs.value = []
  }

  return {
    primary, secondary, carrier, status, statusAt, candles, forming, incidents, runs, reference, marketTime, pulse,
    setStatus, addCandle, addForming, addIncident, adopt, refresh, start, stop,
  }
})
