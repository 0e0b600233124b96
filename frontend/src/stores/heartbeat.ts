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

const MAX_INCIDENTS = 100

const emptyLists = (): Record<Timeframe, Candle[]> =>
  Object.fromEntries(TIMEFRAMES.map((timeframe) => [timeframe, []])) as unknown as Record<Timeframe, Candle[]>

/** The market's metronome: state, candles of the eight timeframes, incidents. */
export const useHeartbeat = defineStore('heartbeat', () => {
  const status = shallowRef<HeartbeatStatus | null>(null)
  const candles = shallowRef(emptyLists())
  const forming = shallowRef<Partial<Record<Timeframe, CandleRow>>>({})
  const incidents = shallowRef<Incident[]>([])
  const runs = shallowRef<HeartbeatRun[]>([])
  const statusAt = ref(0)
  const stops: (() => void)[] = []

  /** The market whose closes are the signals; the others are kept as candles only. */
  const reference = computed(() => status.value?.symbols_monitored[0] ?? null)
  const marketTime = computed(() => (status.value?.market_time ? Date.parse(status.value.market_time) : null))

  const pulse = computed<Pulse>(() => {
    const health = useStatus()
    const service = health.health?.services.heartbeat
    if (!service || health.link.state === 'lost') return { active: false, label: 'Heartbeat inconnu', dot: 'idle', tone: 't3', ageMs: null }
    const seen = status.value?.last_message_at ?? service.last_seen
    const ageMs = seen ? Math.max(0, health.receivedAt - Date.parse(seen)) : null
    if (service.state === 'up' && status.value?.is_connected !== false) {
      return { active: true, label: 'Heartbeat actif', dot: 'ok', tone: '', ageMs }
    }
    if (health.health?.services.heartbeat_secondary?.state === 'up') {
      return { active: true, label: 'Heartbeat secondaire', dot: 'warn', tone: 'warn', ageMs }
    }
    if (service.state === 'starting') return { active: false, label: 'Heartbeat démarre', dot: 'warn', tone: 'warn', ageMs }
    const since = ageMs === null ? '' : ` depuis ${formatDuration(Math.round(ageMs / 1000) * 1000)}`
    return { active: false, label: `Heartbeat inactif${since}`, dot: 'bad', tone: 'down', ageMs }
  })

  function isReference(row: CandleRow): boolean {
    return reference.value === null || row.symbol === reference.value
  }

  function setStatus(next: HeartbeatStatus): void {
    status.value = next
    statusAt.value = Date.now()
  }

  function addCandle(row: CandleRow): void {
    const list = candles.value[row.timeframe]
    if (!list || !isReference(row)) return
    const merged = mergeCandles(list, [row], true)
    if (merged !== list) candles.value = { ...candles.value, [row.timeframe]: merged }
  }

  function addIncident(incident: Incident): void {
    incidents.value = upsertById(incidents.value, incident, MAX_INCIDENTS)
  }

  function adopt(page: HeartbeatPage): void {
    if (page.status) setStatus(page.status)
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
      live.on('heartbeat/forming', (rows) => (forming.value = { ...forming.value, ...rows })),
    )
  }

  function stop(): void {
    stops.splice(0).forEach((end) => end())
    status.value = null
    candles.value = emptyLists()
    forming.value = {}
    incidents.value = []
    runs.value = []
  }

  return {
    status, statusAt, candles, forming, incidents, runs, reference, marketTime, pulse,
    setStatus, addCandle, addIncident, adopt, refresh, start, stop,
  }
})
